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

// Ping waits until an address answers an echo request of the underlay's gateway,
// which all pods reach.
func (e *Env) Ping(t *testing.T, to netip.Addr) {
	t.Helper()
	Eventually(t, Patience, func(ctx context.Context) error { return e.ping(ctx, to) })
}

// ping sends one request.
func (e *Env) ping(ctx context.Context, to netip.Addr) error {
	network, protocol, request := "ip4:icmp", 1, icmp.Type(ipv4.ICMPTypeEcho)
	if to.Is6() {
		network, protocol, request = "ip6:ipv6-icmp", 58, ipv6.ICMPTypeEchoRequest
	}
	var conn *icmp.PacketConn
	err := e.Cluster.Control.InNetwork(func() (err error) { // the socket stays where it was made
		conn, err = icmp.ListenPacket(network, "")
		return err
	})
	if err != nil {
		return fmt.Errorf("opening a socket for pings: %w", err)
	}
	defer conn.Close()
	// Every socket of the network gets every answer: the text tells ours.
	text := fmt.Sprintf("%s %d", to, time.Now().UnixNano())
	message := icmp.Message{Type: request, Body: &icmp.Echo{ID: os.Getpid() & 0xffff, Data: []byte(text)}}
	packet, err := message.Marshal(nil)
	if err != nil {
		return err
	}
	end := time.Now().Add(2 * time.Second)
	if by, ok := ctx.Deadline(); ok && by.Before(end) {
		end = by
	}
	if err := conn.SetDeadline(end); err != nil {
		return err
	}
	if _, err := conn.WriteTo(packet, &net.IPAddr{IP: to.AsSlice()}); err != nil {
		return fmt.Errorf("pinging %s: %w", to, err)
	}
	buffer := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return fmt.Errorf("%s does not answer a ping: %w", to, err)
		}
		message, err := icmp.ParseMessage(protocol, buffer[:n])
		if err != nil {
			continue // somebody else's
		}
		isReply := message.Type == ipv4.ICMPTypeEchoReply || message.Type == ipv6.ICMPTypeEchoReply
		if echo, ok := message.Body.(*icmp.Echo); ok && isReply && string(echo.Data) == text && from.String() == to.String() {
			return nil
		}
	}
}
