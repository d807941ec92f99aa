package behaviours

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"spidernet.io/spiderpool/e2e/cluster"
)

// Prober asks on the underlay all the time who has an address, and notes every answer: it hears two
// holders where a ping would show one.
type Prober struct {
	address netip.Addr
	socket  int
	nic     *net.Interface
	stop    chan struct{}
	done    sync.WaitGroup

	mu      sync.Mutex
	answers []Answer
	err     error
}

// Answer is one claim to have the address.
type Answer struct {
	At time.Time
	By string // hardware address
}

const (
	askEvery   = 50 * time.Millisecond
	underlay   = "underlay" // the gateway's NIC
	arpLength  = 42         // Ethernet header and ARP for IPv4
	arpRequest = 1
	arpReply   = 2
)

// Probe begins to ask for an IPv4 address. It ends with the test.
func (e *Env) Probe(t *testing.T, address netip.Addr) *Prober {
	t.Helper()
	p := &Prober{address: address, stop: make(chan struct{})}
	if err := e.Cluster.Control.InNetwork(p.open); err != nil {
		t.Fatalf("opening a socket that asks for %s: %v", address, err)
	}
	p.done.Go(p.ask)
	p.done.Go(p.listen)
	t.Cleanup(func() {
		close(p.stop)
		p.done.Wait()
		unix.Close(p.socket) // nothing is buffered
	})
	return p
}

// open makes the socket in the network that it is called in.
func (p *Prober) open() (err error) {
	if p.nic, err = net.InterfaceByName(underlay); err != nil {
		return err
	}
	protocol := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ARP))
	if p.socket, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(protocol)); err != nil {
		return err
	}
	wait := unix.NsecToTimeval(int64(askEvery))
	return errors.Join(
		unix.Bind(p.socket, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: p.nic.Index}),
		unix.SetsockoptTimeval(p.socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait), // so that listen sees stop
	)
}

// request is the question who has the address, from the gateway.
func (p *Prober) request(gateway netip.Addr) []byte {
	broadcast := bytes.Repeat([]byte{0xff}, 6)
	frame := slices.Concat(broadcast, p.nic.HardwareAddr, []byte{0x08, 0x06})
	frame = append(frame, 0, 1, 0x08, 0, 6, 4, 0, arpRequest)
	frame = append(frame, p.nic.HardwareAddr...)
	frame = append(frame, gateway.AsSlice()...)
	frame = append(frame, make([]byte, 6)...)
	return append(frame, p.address.AsSlice()...)
}

func (p *Prober) ask() {
	frame := p.request(cluster.GatewayIPv4)
	ticker := time.NewTicker(askEvery)
	defer ticker.Stop()
	for {
		if _, err := unix.Write(p.socket, frame); err != nil && !errors.Is(err, unix.ENOBUFS) {
			p.fail(fmt.Errorf("asking who has %s: %w", p.address, err))
			return
		}
		select {
		case <-p.stop:
			return
		case <-ticker.C:
		}
	}
}

func (p *Prober) listen() {
	buffer := make([]byte, 1500)
	for {
		select {
		case <-p.stop:
			return
		default:
		}
		n, err := unix.Read(p.socket, buffer)
		switch {
		case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			p.fail(fmt.Errorf("listening who has %s: %w", p.address, err))
			return
		}
		if by, ok := p.answer(buffer[:n]); ok {
			p.mu.Lock()
			p.answers = append(p.answers, Answer{time.Now(), by})
			p.mu.Unlock()
		}
	}
}

// answer reads who says in a frame to have the address.
func (p *Prober) answer(frame []byte) (by string, ok bool) {
	if len(frame) < arpLength || binary.BigEndian.Uint16(frame[20:]) != arpReply || !bytes.Equal(frame[28:32], p.address.AsSlice()) {
		return "", false
	}
	return net.HardwareAddr(frame[22:28]).String(), true
}

func (p *Prober) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = errors.Join(p.err, err)
}

// Answers returns all that was answered up to now.
func (p *Prober) Answers(t *testing.T) []Answer {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		t.Fatal(p.err)
	}
	return slices.Clone(p.answers)
}

// Double says who had an address at one time; empty where nobody did. Whoever answers after another
// has begun to had it all the while.
func Double(answers []Answer) string {
	first, last := map[string]time.Time{}, map[string]time.Time{} // hardware address -> when it answered
	for _, a := range answers {
		if _, ok := first[a.By]; !ok {
			first[a.By] = a.At
		}
		last[a.By] = a.At
	}
	holders := slices.SortedFunc(maps.Keys(first), func(a, b string) int { return first[a].Compare(first[b]) })
	var found []string
	for i, one := range holders {
		for _, other := range holders[i+1:] {
			if !first[other].After(last[one]) {
				found = append(found, fmt.Sprintf("%s answers until %s and %s from %s on",
					one, last[one].Format(time.TimeOnly), other, first[other].Format(time.TimeOnly)))
			}
		}
	}
	return strings.Join(found, "; ")
}
