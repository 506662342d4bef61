package volumes

import (
	"errors"

	"github.com/compose-first/compose/project"
)

// Check returns what would make the mounts, secrets and configs of services
// fail, all of it joined: a bind source that is missing and not to be created,
// a propagation that the source cannot have, a missing external volume, an
// unknown driver, a missing file of a secret. It changes nothing.
// Errors name service and key.
func (s *Store) Check(p *project.Project, services []string) error { return errors.New("in progress") }
