package volumes

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/internal/filelabel"
	"github.com/compose-first/compose/project"
)

// labelOf is the SELinux label that the source of a mount is to have for a
// container whose own files have label; "" leaves it as it is. Volumes are
// anybody's, unless Z says otherwise; files of the host are changed on request.
// Source: Docker, mounts.MountPoint.Setup; named volumes of driver local have z.
func labelOf(m project.MountInfo, label string) (string, error) {
	switch {
	case m.Type != TypeVolume && m.Type != TypeBind:
		return "", nil
	case has(m, wordOwn):
		return label, nil
	case has(m, wordShared), m.Type == TypeVolume:
		return filelabel.Shared(label)
	}
	return "", nil
}

// labelVolume labels the data of a volume, unless its folder says that it is
// done. A device that cannot be written to shows what it shows, and a folder of
// the host that must keep its label does.
func (s *Store) labelVolume(ctx context.Context, v Volume, label string) error {
	path := s.Path(v.Name)
	if label == "" || filelabel.Of(path) == label {
		return nil
	}
	if isBind(v.Options[optionWords]) && filelabel.Guarded(v.Options[optionDevice]) != nil {
		return nil
	}
	err := filelabel.Tree(ctx, path, label)
	if errors.Is(err, unix.EROFS) && len(v.Options) > 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("volume %s: %w", v.Name, err)
	}
	return nil
}
