package build

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/moby/buildkit/session/auth/authprovider"
	"github.com/moby/buildkit/session/secrets"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/moby/buildkit/session/sshforward/sshprovider"
)

// addSession adds what the builder may ask for while it builds: registry
// credentials, secrets, keys.
func (s *solve) addSession(r Request, dockerConfig string) error {
	if c := loadConfig(dockerConfig); c != nil {
		s.opt.Session = append(s.opt.Session, authprovider.NewDockerAuthProvider(authprovider.DockerAuthProviderConfig{
			AuthConfigProvider: authprovider.LoadAuthConfig(c),
		}))
	}
	if len(r.Secrets) > 0 {
		s.opt.Session = append(s.opt.Session, secretsprovider.NewSecretProvider(secretStore(r.Secrets)))
	}
	if agents := sshAgents(r); len(agents) > 0 {
		provider, err := sshprovider.NewSSHAgentProvider(agents)
		if err != nil {
			return fmt.Errorf("build.ssh: %w", err)
		}
		s.opt.Session = append(s.opt.Session, provider)
	}
	return nil
}

// secretStore answers for the secrets of one build.
type secretStore []Secret

// GetSecret returns the content of a secret when a step asks for it.
func (s secretStore) GetSecret(_ context.Context, id string) ([]byte, error) {
	for _, secret := range s {
		if secret.ID != id {
			continue
		}
		if secret.File == "" {
			return secret.Content, nil
		}
		return os.ReadFile(secret.File)
	}
	return nil, fmt.Errorf("secret %s: %w", id, secrets.ErrNotFound)
}

func checkSecrets(r Request) error {
	for _, s := range r.Secrets {
		if s.File == "" {
			continue
		}
		if st, err := os.Stat(s.File); err != nil {
			return fmt.Errorf("%s: %w", s.ID, err)
		} else if !st.Mode().IsRegular() {
			return fmt.Errorf("%s: %s is not a file", s.ID, s.File)
		}
	}
	return nil
}

const (
	defaultSSH = "default"
	agentEnv   = "SSH_AUTH_SOCK"
)

func checkSSH(r Request) error {
	for _, k := range r.Config.SSH {
		switch {
		case k.Path != "":
			if _, err := os.Stat(r.path(k.Path)); err != nil {
				return fmt.Errorf("%s: %w", k.ID, err)
			}
		case k.ID != defaultSSH:
			return fmt.Errorf("%s: a key or agent socket is needed", k.ID)
		case r.Environment[agentEnv] == "":
			return errors.New("default: no agent runs: " + agentEnv + " is not set")
		}
	}
	return nil
}

func sshAgents(r Request) []sshprovider.AgentConfig {
	var agents []sshprovider.AgentConfig
	for _, k := range r.Config.SSH {
		path := r.Environment[agentEnv]
		if k.Path != "" {
			path = r.path(k.Path)
		}
		agents = append(agents, sshprovider.AgentConfig{ID: k.ID, Paths: []string{path}})
	}
	return agents
}
