package project

// NetworkOptions are the driver_opts of a network that are heeded; each other
// one is warned about.
// Source: Compose files in use name Docker's bridge driver options.
var NetworkOptions = []string{
	"com.docker.network.bridge.name",
	"com.docker.network.bridge.enable_icc",
	"com.docker.network.bridge.enable_ip_masquerade",
	"com.docker.network.bridge.host_binding_ipv4",
	"com.docker.network.bridge.gateway_mode_ipv4",
	"com.docker.network.bridge.gateway_mode_ipv6",
	"com.docker.network.driver.mtu",
	"com.docker.network.container_iface_prefix",
}
