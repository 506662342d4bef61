package engine

import (
	"fmt"
	"math"

	"github.com/compose-spec/compose-go/v2/types"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// cpuPeriod is over which a share of CPUs is granted, in µs.
// Source: Docker, the period of --cpus.
const cpuPeriod = 100_000

// resources sets the cgroup limits, in terms that runc turns into those of
// either cgroup version.
func (b *specBuilder) resources() error {
	r := b.spec.Linux.Resources
	if r == nil {
		r = &specs.LinuxResources{}
		b.spec.Linux.Resources = r
	}
	limits, reservations := deployResources(b.Service)
	cpu, err := b.cpu(float64(limits.NanoCPUs))
	if err != nil {
		return err
	}
	r.CPU = cpu
	r.Memory = b.memory(int64(limits.MemoryBytes), int64(reservations.MemoryBytes))
	r.Pids = pids(b.Service.PidsLimit, limits.Pids)
	blockIO, err := blockIO(b.Service.BlkioConfig)
	if err != nil {
		return err
	}
	r.BlockIO = blockIO
	return nil
}

// deployResources are the limits and reservations of the deploy section.
func deployResources(s types.ServiceConfig) (limits, reservations types.Resource) {
	if s.Deploy == nil {
		return limits, reservations
	}
	if l := s.Deploy.Resources.Limits; l != nil {
		limits = *l
	}
	if r := s.Deploy.Resources.Reservations; r != nil {
		reservations = *r
	}
	return limits, reservations
}

func (b *specBuilder) cpu(deployed float64) (*specs.LinuxCPU, error) {
	s := b.Service
	if err := b.host.checkCPUs(s.CPUSet); err != nil {
		return nil, fmt.Errorf("cpuset: %w", err)
	}
	cpu := &specs.LinuxCPU{Cpus: s.CPUSet}
	if s.CPUShares > 0 {
		cpu.Shares = ptr(uint64(s.CPUShares))
	}
	if s.CPUPeriod > 0 {
		cpu.Period = ptr(uint64(s.CPUPeriod))
	}
	if s.CPUQuota != 0 {
		cpu.Quota = ptr(s.CPUQuota)
	}
	cpus := float64(s.CPUS)
	if cpus == 0 {
		cpus = deployed
	}
	if count := len(b.host.CPUs); count > 0 && cpus > float64(count) {
		return nil, fmt.Errorf("cpus: %g are more than the %d of this host", cpus, count)
	}
	if cpus > 0 {
		cpu.Period = ptr(uint64(cpuPeriod))
		cpu.Quota = ptr(int64(math.Round(cpus * cpuPeriod)))
	}
	if s.CPURTRuntime != 0 || s.CPURTPeriod != 0 {
		if b.host.RealTime {
			cpu.RealtimeRuntime = nonZero(s.CPURTRuntime)
			cpu.RealtimePeriod = nonZero(uint64(s.CPURTPeriod))
		} else {
			b.warn("cpu_rt_runtime, cpu_rt_period: the host has no real-time groups")
		}
	}
	if *cpu == (specs.LinuxCPU{}) {
		return nil, nil
	}
	return cpu, nil
}

// memory sets limit, reservation and swap. As with Docker, a limit alone
// allows as much swap again.
func (b *specBuilder) memory(deployedLimit, deployedReservation int64) *specs.LinuxMemory {
	s := b.Service
	m := &specs.LinuxMemory{}
	limit := int64(s.MemLimit)
	if limit == 0 {
		limit = deployedLimit
	}
	if limit > 0 {
		m.Limit = ptr(limit)
		m.Swap = b.swap(limit)
	}
	reservation := int64(s.MemReservation)
	if reservation == 0 {
		reservation = deployedReservation
	}
	if reservation > 0 {
		m.Reservation = ptr(reservation)
	}
	if s.MemSwappiness > 0 {
		if b.host.CgroupV2 {
			b.warn("mem_swappiness: cgroup v2 has no such setting")
		} else {
			m.Swappiness = ptr(uint64(s.MemSwappiness))
		}
	}
	if s.OomKillDisable {
		if b.host.CgroupV2 {
			b.warn("oom_kill_disable: cgroup v2 has no such setting")
		} else {
			m.DisableOOMKiller = ptr(true)
		}
	}
	if *m == (specs.LinuxMemory{}) {
		return nil
	}
	return m
}

// swap is the limit of memory and swap together, nil where the kernel does not
// account for swap.
func (b *specBuilder) swap(limit int64) *int64 {
	total := int64(b.Service.MemSwapLimit)
	if !b.host.SwapLimits {
		if total > 0 {
			b.warn("memswap_limit: the kernel does not account for swap")
		}
		return nil
	}
	switch {
	case total == 0:
		total = 2 * limit
	case total < 0:
		total = -1
	}
	return &total
}

// pids is the limit of processes; nil without one.
func pids(own, deployed int64) *specs.LinuxPids {
	if own == 0 {
		own = deployed
	}
	switch {
	case own == 0:
		return nil
	case own < 0:
		own = -1
	}
	return &specs.LinuxPids{Limit: &own}
}

func blockIO(c *types.BlkioConfig) (*specs.LinuxBlockIO, error) {
	if c == nil {
		return nil, nil
	}
	io := &specs.LinuxBlockIO{}
	if c.Weight > 0 {
		io.Weight = ptr(c.Weight)
	}
	for _, w := range c.WeightDevice {
		major, minor, err := blockDevice(w.Path)
		if err != nil {
			return nil, fmt.Errorf("blkio_config.weight_device: %w", err)
		}
		d := specs.LinuxWeightDevice{Weight: ptr(w.Weight)}
		d.Major, d.Minor = major, minor
		io.WeightDevice = append(io.WeightDevice, d)
	}
	for _, t := range []struct {
		key  string
		from []types.ThrottleDevice
		to   *[]specs.LinuxThrottleDevice
	}{
		{"device_read_bps", c.DeviceReadBps, &io.ThrottleReadBpsDevice},
		{"device_write_bps", c.DeviceWriteBps, &io.ThrottleWriteBpsDevice},
		{"device_read_iops", c.DeviceReadIOps, &io.ThrottleReadIOPSDevice},
		{"device_write_iops", c.DeviceWriteIOps, &io.ThrottleWriteIOPSDevice},
	} {
		for _, from := range t.from {
			major, minor, err := blockDevice(from.Path)
			if err != nil {
				return nil, fmt.Errorf("blkio_config.%s: %w", t.key, err)
			}
			d := specs.LinuxThrottleDevice{Rate: uint64(from.Rate)}
			d.Major, d.Minor = major, minor
			*t.to = append(*t.to, d)
		}
	}
	return io, nil
}

// blockDevice returns the numbers of a block device of the host.
func blockDevice(path string) (major, minor int64, err error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, 0, fmt.Errorf("%s: %w", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return 0, 0, fmt.Errorf("%s is not a block device", path)
	}
	return int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev)), nil
}

func ptr[T any](v T) *T { return &v }

// nonZero returns nil for the zero value.
func nonZero[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
