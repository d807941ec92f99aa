package datapath

import (
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// pod is a network namespace.
type pod struct {
	path    string
	handle  netns.NsHandle
	netlink *netlink.Handle
}

func newPod(t testing.TB, name string) *pod {
	t.Helper()
	p := &pod{path: "/run/netns/" + name}
	onSpareThread(t, func() (err error) {
		p.handle, err = netns.NewNamed(name)
		return err
	})
	t.Cleanup(func() {
		p.netlink.Close()
		if err := netns.DeleteNamed(name); err != nil {
			t.Errorf("deleting namespace %s: %v", name, err)
		}
		_ = p.handle.Close() // the name is gone already
	})
	var err error
	if p.netlink, err = netlink.NewHandleAt(p.handle, unix.NETLINK_ROUTE); err != nil {
		t.Fatal(err)
	}
	return p
}

// onSpareThread runs f on a thread that ends with it, whatever namespace f left it in.
func onSpareThread(t testing.TB, f func() error) {
	t.Helper()
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: that ends the thread
		failed <- f()
	}()
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
}

// inside runs f in the pod's network.
func (p *pod) inside(t testing.TB, f func() error) {
	t.Helper()
	onSpareThread(t, func() error {
		if err := netns.Set(p.handle); err != nil {
			return err
		}
		return f()
	})
}

// hasLink tells whether the pod has a NIC of that name.
func (p *pod) hasLink(t testing.TB, name string) bool {
	t.Helper()
	links, err := p.netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(links, func(l netlink.Link) bool { return l.Attrs().Name == name })
}

// addresses are the global ones of the NIC, sorted.
func (p *pod) addresses(t testing.TB, nic string) []string {
	t.Helper()
	link, err := p.netlink.LinkByName(nic)
	if err != nil {
		t.Fatal(err)
	}
	list, err := p.netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, address := range list {
		if address.Scope == unix.RT_SCOPE_UNIVERSE {
			found = append(found, address.IPNet.String())
		}
	}
	slices.Sort(found)
	return found
}

// routes are those over a gateway, as "destination via gateway", sorted.
func (p *pod) routes(t testing.TB) []string {
	t.Helper()
	list, err := p.netlink.RouteList(nil, netlink.FAMILY_ALL)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, route := range list {
		if route.Gw != nil {
			found = append(found, route.Dst.String()+" via "+route.Gw.String())
		}
	}
	slices.Sort(found)
	return found
}

// pingPatience is how long an answer is waited for; links and neighbours need a moment to come up.
const pingPatience = 15 * time.Second

// ping sends echo requests from the pod until one is answered.
func (p *pod) ping(t testing.TB, to netip.Addr) {
	t.Helper()
	network, protocol, request := "ip4:icmp", 1, icmp.Type(ipv4.ICMPTypeEcho)
	if to.Is6() {
		network, protocol, request = "ip6:ipv6-icmp", 58, ipv6.ICMPTypeEchoRequest
	}
	var conn *icmp.PacketConn
	p.inside(t, func() (err error) { // the socket stays in the network it was made in
		conn, err = icmp.ListenPacket(network, "")
		return err
	})
	defer func() { _ = conn.Close() }() // nothing is buffered
	message := icmp.Message{Type: request, Body: &icmp.Echo{ID: os.Getpid() & 0xffff, Data: []byte(t.Name())}}
	packet, err := message.Marshal(nil)
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(pingPatience); time.Now().Before(end); {
		// An error means no route yet; reading then spends the time until the next try.
		_, _ = conn.WriteTo(packet, &net.IPAddr{IP: to.AsSlice()})
		if answered(t, conn, protocol, to, t.Name()) {
			return
		}
	}
	t.Fatalf("%s did not answer a ping from %s within %s", to, p.path, pingPatience)
}

// answered waits a moment for the echo of text from addr.
func answered(t testing.TB, conn *icmp.PacketConn, protocol int, addr netip.Addr, text string) bool {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return false
		}
		message, err := icmp.ParseMessage(protocol, buffer[:n])
		if err != nil {
			continue
		}
		isReply := message.Type == ipv4.ICMPTypeEchoReply || message.Type == ipv6.ICMPTypeEchoReply
		if echo, ok := message.Body.(*icmp.Echo); ok && isReply && string(echo.Data) == text && from.String() == addr.String() {
			return true
		}
	}
}

// underlay is a network that pods with macvlan share: a NIC for their master, and behind it a
// gateway.
func underlay(t testing.TB, master string, gateways ...string) {
	t.Helper()
	peer := master + "p"
	link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: master}, PeerName: peer}
	if err := netlink.LinkAdd(link); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := netlink.LinkDel(link); err != nil {
			t.Errorf("deleting %s: %v", master, err)
		}
	})
	for _, name := range []string{master, peer} {
		up, err := netlink.LinkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkSetUp(up); err != nil {
			t.Fatal(err)
		}
		for _, gateway := range gateways {
			if name != peer {
				break
			}
			address, err := netlink.ParseAddr(gateway)
			if err != nil {
				t.Fatal(err)
			}
			address.Flags = unix.IFA_F_NODAD
			if err := netlink.AddrAdd(up, address); err != nil {
				t.Fatal(err)
			}
		}
	}
}
