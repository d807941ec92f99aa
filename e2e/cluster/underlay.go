package cluster

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"spidernet.io/spiderpool/e2e/cluster/machine"
)

// The underlay: one segment that all nodes and all pods are on, with the control plane as its
// gateway. The addresses are the ones that kind and Docker use, so manifests written for those
// work.
var (
	UnderlayIPv4 = netip.MustParsePrefix("172.18.0.0/16")
	UnderlayIPv6 = netip.MustParsePrefix("fc00:f853:ccd:e793::/64")
)

// hostAddress is the n-th address of the underlay, with the prefix length.
func hostAddress(underlay netip.Prefix, n int) netip.Prefix {
	bytes := underlay.Addr().AsSlice()
	bytes[len(bytes)-1] = byte(n)
	address, _ := netip.AddrFromSlice(bytes)
	return netip.PrefixFrom(address, underlay.Bits())
}

// The gateway's addresses, on the control plane's bridge. They can reach pods, while a pod's own
// node cannot: macvlan isolates a parent from its children.
var (
	GatewayIPv4 = hostAddress(UnderlayIPv4, 1).Addr()
	GatewayIPv6 = hostAddress(UnderlayIPv6, 1).Addr()
)

const (
	bridgeName = "underlay"
	nodeNIC    = "eth0"
)

// inNetwork opens the network of a machine for netlink.
func inNetwork(m *machine.Machine, f func(*netlink.Handle) error) error {
	ns, err := m.Network()
	if err != nil {
		return err
	}
	defer ns.Close()
	handle, err := netlink.NewHandleAt(ns)
	if err != nil {
		return fmt.Errorf("opening netlink of machine %q: %w", m.Spec.Name, err)
	}
	defer handle.Close()
	return f(handle)
}

// buildUnderlay creates the bridge and the gateway's addresses.
func buildUnderlay(control *machine.Machine) error {
	return inNetwork(control, func(h *netlink.Handle) error {
		if err := raiseLoopback(h); err != nil {
			return err
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name = bridgeName
		// Otherwise it would take the lowest of its ports' addresses, which changes with every node
		// that is plugged in or out, and all nodes would lose the gateway until their neighbour
		// tables have aged.
		attrs.HardwareAddr = net.HardwareAddr{0x02, 0x42, 0xac, 0x12, 0x00, 0x01}
		// Without a querier on the segment, snooping would only break neighbour discovery.
		snooping := false
		bridge := &netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping}
		if err := h.LinkAdd(bridge); err != nil {
			return fmt.Errorf("making bridge %q: %w", bridgeName, err)
		}
		return raise(h, bridge, 1)
	})
}

// plug connects a node to the underlay by a cable: one end is a port of the bridge, the other is
// the node's eth0.
func plug(control *machine.Machine, node *Node) error {
	far, err := node.Machine.Network()
	if err != nil {
		return err
	}
	defer far.Close()
	err = inNetwork(control, func(h *netlink.Handle) error {
		bridge, err := h.LinkByName(bridgeName)
		if err != nil {
			return err
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name = node.port()
		attrs.MasterIndex = bridge.Attrs().Index
		cable := &netlink.Veth{LinkAttrs: attrs, PeerName: nodeNIC, PeerNamespace: netlink.NsFd(far)}
		if err := h.LinkAdd(cable); err != nil {
			return fmt.Errorf("plugging in node %q: %w", node.Name, err)
		}
		return h.LinkSetUp(cable)
	})
	if err != nil {
		return err
	}
	return inNetwork(node.Machine, func(h *netlink.Handle) error {
		if err := raiseLoopback(h); err != nil {
			return err
		}
		nic, err := h.LinkByName(nodeNIC)
		if err != nil {
			return err
		}
		if err := raise(h, nic, node.host()); err != nil {
			return err
		}
		return routeByGateway(h, nic)
	})
}

func raiseLoopback(h *netlink.Handle) error {
	lo, err := h.LinkByName("lo")
	if err != nil {
		return err
	}
	return h.LinkSetUp(lo)
}

// raise gives a link its two addresses of the underlay and sets it up.
func raise(h *netlink.Handle, link netlink.Link, host int) error {
	for _, underlay := range []netip.Prefix{UnderlayIPv4, UnderlayIPv6} {
		address := &netlink.Addr{IPNet: ipNet(hostAddress(underlay, host))}
		if underlay.Addr().Is6() {
			// No other host can have it, and waiting for duplicate detection takes seconds.
			address.Flags = unix.IFA_F_NODAD
		}
		if err := h.AddrAdd(link, address); err != nil {
			return fmt.Errorf("adding address %s: %w", address.IPNet, err)
		}
	}
	return h.LinkSetUp(link)
}

func routeByGateway(h *netlink.Handle, link netlink.Link) error {
	for _, gateway := range []netip.Addr{GatewayIPv4, GatewayIPv6} {
		route := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: gateway.AsSlice()}
		if err := h.RouteAdd(route); err != nil {
			return fmt.Errorf("routing by %s: %w", gateway, err)
		}
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// setCable sets a node's port of the bridge up or down.
func setCable(control *machine.Machine, node *Node, up bool) error {
	return inNetwork(control, func(h *netlink.Handle) error {
		port, err := h.LinkByName(node.port())
		if err != nil {
			return fmt.Errorf("finding the cable of node %q: %w", node.Name, err)
		}
		if up {
			return h.LinkSetUp(port)
		}
		return h.LinkSetDown(port)
	})
}

// unplug removes what is left of a node's cable. The kernel removes it with the node's network, but
// only some time later.
func unplug(control *machine.Machine, node *Node) error {
	return inNetwork(control, func(h *netlink.Handle) error {
		port, err := h.LinkByName(node.port())
		if errors.As(err, &netlink.LinkNotFoundError{}) {
			return nil
		}
		if err != nil {
			return err
		}
		err = h.LinkDel(port)
		if errors.Is(err, unix.ENODEV) {
			return nil
		}
		return err
	})
}
