package netplan

import (
	"context"
	"errors"
	"github.com/compose-first/compose/project"
	"net/netip"
)

var errTODO = errors.New("in progress")

func (h *Host) ensureRules(n Network) error                            { return nil }
func (h *Host) deleteRules(n Network) error                            { return nil }
func (h *Host) Publish(ctx context.Context, desired []Published) error { return errTODO }
func (h *Host) CheckPorts(ctx context.Context, ports []project.Port, own ...string) error {
	return errTODO
}
func (h *Host) FreePort(protocol string, ip netip.Addr, low, high uint16) (uint16, error) {
	return 0, errTODO
}
func (h *Host) Cleanup(ctx context.Context) error { return nil }

type Ports struct{}

func NewPorts() *Ports                                               { return &Ports{} }
func (p *Ports) Sync(ctx context.Context, desired []Published) error { return errTODO }
func (p *Ports) Close() error                                        { return nil }
