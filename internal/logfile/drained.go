package logfile

import (
	"os"
	"path/filepath"
)

// DrainedFile is made in a container's streams folder by the logger once all
// that the container has written is in its log. Who starts the container
// removes it before the folder's config.json is written.
const DrainedFile = "drained"

// Drained reports whether all that a container wrote is in its log: the
// logger has seen the end of every stream in the streams folder dir, or the
// folder is gone.
func Drained(dir string) bool {
	if _, err := os.Stat(filepath.Join(dir, DrainedFile)); err == nil {
		return true
	}
	_, err := os.Stat(dir)
	return os.IsNotExist(err)
}
