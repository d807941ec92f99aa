package soak

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// balancer forwards connections to one of several servers, as a Service does.
type balancer struct {
	listener net.Listener
	to       []netip.AddrPort
	next     atomic.Uint64
	cut      atomic.Bool // no connection gets through
	open     sync.WaitGroup
}

// balance listens at an address until ctx ends.
func balance(ctx context.Context, at netip.AddrPort, to ...netip.AddrPort) (*balancer, error) {
	listener, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	b := &balancer{listener: listener, to: to}
	context.AfterFunc(ctx, func() { listener.Close() })
	b.open.Go(func() { b.accept(ctx) })
	return b, nil
}

func (b *balancer) accept(ctx context.Context) {
	for {
		from, err := b.listener.Accept()
		if err != nil {
			return // the listener was closed
		}
		b.open.Go(func() {
			defer from.Close()
			b.serve(ctx, from)
		})
	}
}

// serve tries the servers one after the other: a Service leaves out those that are not ready.
func (b *balancer) serve(ctx context.Context, from net.Conn) {
	first := b.next.Add(1)
	for i := range b.to {
		if b.cut.Load() {
			return
		}
		to, err := (&net.Dialer{}).DialContext(ctx, "tcp", b.to[(first+uint64(i))%uint64(len(b.to))].String())
		if err != nil {
			continue
		}
		defer to.Close()
		stop := context.AfterFunc(ctx, func() { from.Close(); to.Close() })
		defer stop()
		ended := make(chan struct{}, 2)
		for _, way := range [][2]net.Conn{{to, from}, {from, to}} {
			go func() {
				_, _ = io.Copy(way[0], way[1]) // either end may break the connection
				ended <- struct{}{}
			}()
		}
		<-ended
		return
	}
}
