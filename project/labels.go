package project

// Labels that Docker Compose writes, so that other tools recognise our
// containers, networks and volumes.
// Source: github.com/docker/compose, pkg/api/labels.go.
const (
	LabelProject         = "com.docker.compose.project"
	LabelService         = "com.docker.compose.service"
	LabelNumber          = "com.docker.compose.container-number"
	LabelOneOff          = "com.docker.compose.oneoff" // "True" or "False"
	LabelSlug            = "com.docker.compose.slug"   // one-offs only
	LabelConfigHash      = "com.docker.compose.config-hash"
	LabelDependsOn       = "com.docker.compose.depends_on" // "svc:condition:restart", comma list
	LabelImage           = "com.docker.compose.image"      // digest of the image the container was made from
	LabelReplace         = "com.docker.compose.replace"    // id of the container this one took the place of
	LabelWorkingDir      = "com.docker.compose.project.working_dir"
	LabelConfigFiles     = "com.docker.compose.project.config_files" // comma list
	LabelEnvironmentFile = "com.docker.compose.project.environment_file"
	LabelVersion         = "com.docker.compose.version"
	LabelNetwork         = "com.docker.compose.network"
	LabelVolume          = "com.docker.compose.volume"
)

// Labels of our own. They hold what changes during a container's life; what
// is fixed at its creation is in its Record.
const (
	LabelName         = "compose.name"          // the container's name, "shop-web-1"
	LabelHealth       = "compose.health"        // "starting", "healthy", "unhealthy"; absent without a check
	LabelExitCode     = "compose.exit-code"     // decimal, of the last run
	LabelStartedAt    = "compose.started-at"    // RFC 3339 with nanoseconds
	LabelFinishedAt   = "compose.finished-at"   // RFC 3339 with nanoseconds
	LabelOOMKilled    = "compose.oom-killed"    // "true" when the last run ended so
	LabelRestarting   = "compose.restarting"    // "true" while the restart policy waits to start it again
	LabelRestartCount = "compose.restart-count" // decimal, restarts by policy since the last start by hand
	LabelStopped      = "compose.stopped"       // "true" from a stop by hand until the next start by hand
	LabelAnonymous    = "compose.anonymous"     // "true" on a volume without a name in the file
)

// RecordExtension is the key of a container's Record among its containerd
// extensions: labels are limited to 4,096 bytes each, extensions are not.
const RecordExtension = "compose.record"
