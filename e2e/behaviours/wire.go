package behaviours

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Ping waits until an address answers an echo request of the underlay's gateway, which all pods
// reach.
func (e *Env) Ping(t *testing.T, to netip.Addr) {
	t.Helper()
	Eventually(t, Patience, func(ctx context.Context) error { return e.TryPing(ctx, to) })
}

// echo is what pings of one family are made of.
type echo struct {
	network  string
	protocol int
	request  icmp.Type
	reply    icmp.Type
}

func echoFor(a netip.Addr) echo {
	if a.Is6() {
		return echo{"ip6:ipv6-icmp", 58, ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply}
	}
	return echo{"ip4:icmp", 1, ipv4.ICMPTypeEcho, ipv4.ICMPTypeEchoReply}
}

// pingPatience is how long one answer is waited for.
const pingPatience = 2 * time.Second

// TryPing sends one request, and returns an error where no answer comes.
func (e *Env) TryPing(ctx context.Context, to netip.Addr) error {
	kind := echoFor(to)
	var conn *icmp.PacketConn
	err := e.Cluster.Control.InNetwork(func() (err error) { // the socket stays where it was made
		conn, err = icmp.ListenPacket(kind.network, "")
		return err
	})
	if err != nil {
		return fmt.Errorf("opening a socket for pings: %w", err)
	}
	defer conn.Close()
	// Every socket of the network gets every answer: the text tells ours.
	text := fmt.Sprintf("%s %d", to, time.Now().UnixNano())
	message := icmp.Message{Type: kind.request, Body: &icmp.Echo{ID: os.Getpid() & 0xffff, Data: []byte(text)}}
	packet, err := message.Marshal(nil)
	if err != nil {
		return err
	}
	end := time.Now().Add(pingPatience)
	if by, ok := ctx.Deadline(); ok && by.Before(end) {
		end = by
	}
	if err := conn.SetDeadline(end); err != nil {
		return err
	}
	if _, err := conn.WriteTo(packet, &net.IPAddr{IP: to.AsSlice()}); err != nil {
		return fmt.Errorf("pinging %s: %w", to, err)
	}
	return kind.awaitReply(conn, to, text)
}

// awaitReply waits for the echo of text.
func (k echo) awaitReply(conn *icmp.PacketConn, from netip.Addr, text string) error {
	buffer := make([]byte, 1500)
	for {
		n, sender, err := conn.ReadFrom(buffer)
		if err != nil {
			return fmt.Errorf("%s does not answer a ping: %w", from, err)
		}
		message, err := icmp.ParseMessage(k.protocol, buffer[:n])
		if err != nil {
			continue // somebody else's
		}
		body, ok := message.Body.(*icmp.Echo)
		if ok && message.Type == k.reply && string(body.Data) == text && sender.String() == from.String() {
			return nil
		}
	}
}
