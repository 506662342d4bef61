package project

import "errors"

// Marshal returns the project as a Compose file, format "yaml" or "json".
func Marshal(p *Project, format string) ([]byte, error) { return nil, errors.New("in progress") }
