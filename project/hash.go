package project

// NetworkHash returns the configuration hash of the network under key.
func (p *Project) NetworkHash(key string) string { return "" }

// VolumeHash returns the configuration hash of the volume under key.
func (p *Project) VolumeHash(key string) string { return "" }
