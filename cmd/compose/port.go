package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) portCommand() *cobra.Command {
	var index int
	var protocol string
	c := &cobra.Command{
		Use:   "port [OPTIONS] SERVICE PRIVATE_PORT",
		Short: "Show where a port is published",
		Args:  exactArgs(2),
	}
	c.Flags().IntVar(&index, "index", 0, "Container of the service, by its number (default: the lowest)")
	c.Flags().StringVar(&protocol, "protocol", "tcp", "tcp or udp")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		target, err := strconv.ParseUint(args[1], 10, 16)
		if err != nil {
			return fmt.Errorf("invalid port %q: it is a number from 1 to 65535", args[1])
		}
		return a.port(cmd.Context(), args[0], uint16(target), strings.ToLower(protocol), index)
	}
	return c
}

func (a *app) port(ctx context.Context, service string, target uint16, protocol string, index int) error {
	if protocol != "tcp" && protocol != "udp" {
		return fmt.Errorf("invalid protocol %q: it is tcp or udp", protocol)
	}
	_, c, err := a.runningContainer(ctx, service, index)
	if err != nil {
		return err
	}
	list := publishers(c)
	for _, p := range list {
		if p.TargetPort == target && p.Protocol == protocol && p.PublishedPort != 0 {
			fmt.Fprintln(a.out, net.JoinHostPort(p.URL, strconv.Itoa(int(p.PublishedPort))))
			return nil
		}
	}
	var there []string
	seen := map[string]bool{}
	for _, p := range list {
		text := fmt.Sprintf("%d/%s", p.TargetPort, p.Protocol)
		if !seen[text] {
			seen[text] = true
			there = append(there, text)
		}
	}
	return fmt.Errorf("no port %d/%s for container %s: %s", target, protocol, c.Name, strings.Join(there, ", "))
}
