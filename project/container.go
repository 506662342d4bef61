package project

import "errors"

// Record returns what the files alone say of a service's container. Networks
// have no addresses yet; Command, and Health where the file sets no test,
// need the image and are left to the caller.
func (p *Project) Record(service string, number int) (Record, error) {
	return Record{}, errors.New("in progress")
}

// ContainerLabels returns the labels of a service's containers: the user's,
// and Docker Compose's but for those that depend on the single container or
// its image (LabelNumber, LabelOneOff, LabelImage, LabelReplace, LabelSlug).
func (p *Project) ContainerLabels(service string) map[string]string { return nil }

// FileContents returns the content of the secrets and configs of service
// that do not come from a file, under "secret/NAME" and "config/NAME".
func (p *Project) FileContents(service string) (map[string][]byte, error) { return nil, nil }

// HealthDisabled reports whether the file turns the image's check off.
func (p *Project) HealthDisabled(service string) bool { return false }
