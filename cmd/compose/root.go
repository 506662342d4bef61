package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/compose-first/compose/internal/progress"
	"github.com/compose-first/compose/project"
)

// globals are the flags that come before the command, with their variables
// already taken into account once they are read.
type globals struct {
	files            []string
	name             string
	profiles         []string
	envFiles         []string
	projectDirectory string
	workdir          string
	parallel         int // 0 or less: no limit
	progress         string
	ansi             string
	allResources     bool
	compatibility    bool
	dryRun           bool
	debug            bool
	verbose          bool
	logLevel         string
	noANSI           bool
	containerd       string
	insecure         []string
	version          bool
}

// rootCommand is the whole command line.
func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   a.name + " [OPTIONS] COMMAND",
		Short: "Run Compose projects on containerd",
		Long: `Run the containers of a Compose project on containerd.

A project is a folder with a compose.yaml. "up" brings it up, "ps" shows what
runs, "logs" what it says, and "down" takes it away. "plan" shows what "up"
would do, and why, and does none of it.`,
		Args:             cobra.ArbitraryArgs,
		SilenceErrors:    true,
		SilenceUsage:     true,
		TraverseChildren: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return a.readGlobals(cmd)
		},
		RunE: a.runRoot,
	}
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetUsageTemplate(usageTemplate)
	root.CompletionOptions.HiddenDefaultCmd = true
	a.globalFlags(root)
	root.AddGroup(
		&cobra.Group{ID: "project", Title: "Project commands:"},
		&cobra.Group{ID: "host", Title: "Commands for the whole host:"},
	)
	a.addCommands(root)
	finishCommands(root)
	a.completeFlags(root)
	return root
}

// finishCommands sets what holds for every command.
func finishCommands(c *cobra.Command) {
	c.DisableFlagsInUseLine = true
	c.Flags().SortFlags = false
	for _, sub := range c.Commands() {
		finishCommands(sub)
	}
}

// usageTemplate is the part of the help after the description: commands in
// their groups, then flags.
const usageTemplate = `Usage:  {{.UseLine}}
{{- if .HasAvailableSubCommands}}{{$all := .Commands}}
{{- if .Groups}}{{range $group := .Groups}}

{{.Title}}{{range $all}}{{if and (eq .GroupID $group.ID) .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}
{{- else}}

Commands:{{range $all}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{end}}
{{- if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}
{{- if .HasAvailableInheritedFlags}}
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}
{{- if .HasAvailableSubCommands}}

"{{.CommandPath}} COMMAND --help" says more of a command.{{end}}
`

// addCommands adds every command, those of a project first.
func (a *app) addCommands(root *cobra.Command) {
	for _, c := range []*cobra.Command{
		a.upCommand(), a.downCommand(), a.planCommand(), a.createCommand(), a.startCommand(),
		a.stopCommand(), a.restartCommand(), a.killCommand(), a.rmCommand(), a.scaleCommand(),
		a.psCommand(), a.logsCommand(), a.execCommand(), a.runCommand(), a.portCommand(), a.topCommand(),
		a.buildCommand(), a.pullCommand(), a.configCommand(),
	} {
		c.GroupID = "project"
		c.ValidArgsFunction = a.completeServices
		root.AddCommand(c)
	}
	for _, c := range []*cobra.Command{a.lsCommand(), a.imageCommand(), a.engineCommand(), a.doctorCommand(), a.versionCommand()} {
		c.GroupID = "host"
		root.AddCommand(c)
	}
	root.AddCommand(a.agentCommand())
}

func (a *app) globalFlags(root *cobra.Command) {
	g, f := &a.global, root.Flags()
	f.SortFlags = false
	f.StringArrayVarP(&g.files, "file", "f", nil, "Compose `FILE`, repeatable; - is standard input")
	f.StringVarP(&g.name, "project-name", "p", "", "Project `NAME`")
	f.StringArrayVar(&g.profiles, "profile", nil, "Profile `NAME` to enable, repeatable; * is all")
	f.StringArrayVar(&g.envFiles, "env-file", nil, "Environment `FILE` in place of .env, repeatable")
	f.StringVar(&g.projectDirectory, "project-directory", "", "`FOLDER` that relative paths start from (default: that of the first file)")
	f.IntVar(&g.parallel, "parallel", -1, "Most operations at a time; -1 is no limit")
	f.StringVar(&g.progress, "progress", "auto", "How progress is shown, a `MODE`: auto, tty, plain, json, quiet")
	f.StringVar(&g.ansi, "ansi", "auto", "`WHEN` control characters are printed: never, always, auto")
	f.BoolVar(&g.allResources, "all-resources", false, "Include resources that no service uses")
	f.BoolVar(&g.compatibility, "compatibility", false, "Name containers and images with _ as Compose 1 did")
	f.StringVar(&g.containerd, "containerd", "", "`SOCKET` of a containerd to use instead of the private one")
	f.BoolVarP(&g.debug, "debug", "D", false, "Debug logs on standard error")
	f.StringVarP(&g.logLevel, "log-level", "l", "", "Logs of this `LEVEL` and above on standard error: debug, info, warn, error")
	f.BoolVarP(&g.version, "version", "v", false, "Show the version")
	root.PersistentFlags().BoolVar(&g.dryRun, "dry-run", false, "Show what would be done, and do none of it")

	f.StringVar(&g.workdir, "workdir", "", "")
	f.BoolVar(&g.noANSI, "no-ansi", false, "")
	f.BoolVar(&g.verbose, "verbose", false, "")
	f.StringArrayVar(&g.insecure, "insecure-registry", nil, "")
	hide(f, "workdir", "no-ansi", "verbose", "insecure-registry")
	for _, flag := range dockerFlags {
		if flag.value {
			f.StringP(flag.name, flag.short, "", "")
		} else {
			f.BoolP(flag.name, flag.short, false, "")
		}
		hide(f, flag.name)
	}
}

// dockerFlags choose a Docker Engine, and there is none here.
var dockerFlags = []struct {
	name, short string
	value       bool
}{
	{"host", "H", true}, {"context", "c", true},
	{"tls", "", false}, {"tlscacert", "", true}, {"tlscert", "", true}, {"tlskey", "", true}, {"tlsverify", "", false},
}

func hide(f *pflag.FlagSet, names ...string) {
	for _, name := range names {
		f.Lookup(name).Hidden = true
	}
}

// joinValues writes global flags whose value begins with a dash with a "=": cobra
// looks for the command among the arguments by their looks, takes "-1" after
// --parallel for a flag of its own, and the command for its value.
func joinValues(f *pflag.FlagSet, args []string) []string {
	var joined []string
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' && args[0] != "--" {
		arg := args[0]
		args = args[1:]
		if takesValue(f, arg) && len(args) > 0 {
			if strings.HasPrefix(args[0], "-") {
				arg += "=" + args[0]
			} else {
				joined, arg = append(joined, arg), args[0]
			}
			args = args[1:]
		}
		joined = append(joined, arg)
	}
	return append(joined, args...)
}

// takesValue reports whether arg is a flag, long or short, whose value is the
// argument behind it.
func takesValue(f *pflag.FlagSet, arg string) bool {
	var flag *pflag.Flag
	if name, long := strings.CutPrefix(arg, "--"); long {
		flag = f.Lookup(name)
	} else if len(arg) == 2 {
		flag = f.ShorthandLookup(arg[1:])
	}
	return flag != nil && flag.NoOptDefVal == ""
}

// runRoot runs when no command is named, or one that there is not.
func (a *app) runRoot(cmd *cobra.Command, args []string) error {
	if a.global.version && len(args) == 0 {
		return a.printVersion("pretty", false)
	}
	if err := cmd.Help(); err != nil {
		return err
	}
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("unknown command: %q", a.name+" "+args[0])
}

// readGlobals checks the global flags and fills in what variables say.
func (a *app) readGlobals(cmd *cobra.Command) error {
	g := &a.global
	flags := cmd.Root().Flags()
	for _, flag := range dockerFlags {
		if flags.Changed(flag.name) {
			return fmt.Errorf("--%s is a flag of Docker: %s runs on containerd and has no Docker Engine to choose", flag.name, a.name)
		}
	}
	if len(g.insecure) > 0 {
		return errors.New("--insecure-registry is for Compose files from a registry (oci://), which are not supported yet")
	}
	if err := a.readWorkdir(flags); err != nil {
		return err
	}
	a.env = readEnvironment(*g)
	if err := a.readLevel(); err != nil {
		return err
	}
	if err := a.readDisplay(flags); err != nil {
		return err
	}
	if !flags.Changed("compatibility") {
		g.compatibility = truth(a.env.get("COMPOSE_COMPATIBILITY"))
	}
	if g.containerd == "" {
		g.containerd = os.Getenv("CONTAINERD_ADDRESS")
	}
	if g.containerd != "" { // the agent, which is told of it, runs in another folder
		path, err := filepath.Abs(strings.TrimPrefix(g.containerd, "unix://"))
		if err != nil {
			return fmt.Errorf("--containerd: %w", err)
		}
		g.containerd = path
	}
	if !flags.Changed("parallel") {
		n, err := a.env.integer("COMPOSE_PARALLEL_LIMIT", g.parallel)
		if err != nil {
			return err
		}
		g.parallel = n
	}
	return nil
}

// readWorkdir takes --workdir for --project-directory, as Compose 1 called it.
func (a *app) readWorkdir(flags *pflag.FlagSet) error {
	g := &a.global
	if !flags.Changed("workdir") {
		return nil
	}
	if flags.Changed("project-directory") {
		return errors.New(`cannot specify DEPRECATED '--workdir' and '--project-directory'. Please use only '--project-directory' instead`)
	}
	a.deprecated("option '--workdir' is DEPRECATED at root level! Please use '--project-directory' instead.")
	g.projectDirectory = g.workdir
	return nil
}

// deprecated writes a line on an option of old, red on a terminal.
func (a *app) deprecated(text string) {
	if a.colors(a.stderr) {
		text = "\x1b[31m" + text + "\x1b[0m"
	}
	fmt.Fprintln(a.stderr, text)
}

// readLevel turns logs on.
func (a *app) readLevel() error {
	g := &a.global
	switch {
	case g.debug || g.verbose:
		a.debugLog(slog.LevelDebug)
	case g.logLevel != "":
		var level slog.Level
		name := g.logLevel
		if name == "warning" {
			name = "warn"
		}
		if name == "fatal" || name == "panic" {
			name = "error"
		}
		if err := level.UnmarshalText([]byte(name)); err != nil {
			return fmt.Errorf("unable to parse logging level: %s", g.logLevel)
		}
		a.debugLog(level)
	}
	return nil
}

// readDisplay decides how progress is shown.
func (a *app) readDisplay(flags *pflag.FlagSet) error {
	g := &a.global
	if !flags.Changed("progress") {
		if s := a.env.get("COMPOSE_PROGRESS"); s != "" {
			g.progress = s
		}
	}
	if !flags.Changed("ansi") {
		if s := a.env.get("COMPOSE_ANSI"); s != "" {
			g.ansi = s
		}
	}
	if g.noANSI {
		a.deprecated("option '--no-ansi' is DEPRECATED! Please use '--ansi' instead.")
		g.ansi = "never"
	}
	mode, err := progress.ParseMode(g.progress)
	if err != nil {
		return err
	}
	switch {
	case g.ansi != "auto" && g.ansi != "never" && g.ansi != "always":
		return fmt.Errorf("unsupported --ansi value %q: it is one of never, always, auto", g.ansi)
	case mode == progress.TTY && g.ansi == "never":
		return errors.New("can't use --progress tty while ANSI support is disabled")
	case mode == progress.Plain && g.ansi == "always":
		return errors.New("can't use --progress plain while ANSI support is forced")
	}
	a.mode = displayMode(mode, g.ansi, isTerminal(a.stderr))
	return nil
}

// displayMode settles what auto means.
func displayMode(mode progress.Mode, ansi string, terminal bool) progress.Mode {
	switch {
	case mode != progress.Auto:
		return mode
	case ansi == "always", terminal && ansi == "auto":
		return progress.TTY
	}
	return progress.Plain
}

// projectOptions is what the global flags say of the project to load.
func (a *app) projectOptions(services ...string) project.Options {
	g := a.global
	return project.Options{
		Files: g.files, ProjectDirectory: g.projectDirectory, Name: g.name,
		Profiles: g.profiles, EnvFiles: g.envFiles, Services: services,
		Environment: os.Environ(), Stdin: a.in,
		Compatibility: g.compatibility, AllResources: g.allResources,
	}
}

// exactArgs refuses any other number of arguments.
func exactArgs(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == n {
			return nil
		}
		return fmt.Errorf("%q requires %d arguments, received %d\n\nUsage:  %s", c.CommandPath(), n, len(args), c.UseLine())
	}
}

// noArgs refuses arguments.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if c.HasSubCommands() {
		return fmt.Errorf("unknown command: %q", c.CommandPath()+" "+args[0])
	}
	return fmt.Errorf("%q accepts no arguments", c.CommandPath())
}

// normalize lets --no-TTY and the like name a flag of another spelling.
func normalize(c *cobra.Command, aliases map[string]string) {
	c.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if to, ok := aliases[name]; ok {
			name = to
		}
		return pflag.NormalizedName(name)
	})
}

// commandLine is how the lock file names this command.
func (a *app) commandLine() string { return strings.Join(append([]string{a.name}, a.args...), " ") }
