package soak

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/e2e/cluster/process"
	"spidernet.io/spiderpool/e2e/install"

	"spidernet.io/spiderpool/e2e/behaviours"
)

// faults injects faults.
type faults struct {
	stage  *stage
	random *rand.Rand
	out    io.Writer
	begun  time.Time
	kills  atomic.Int64
	others atomic.Int64

	restore func(context.Context) error // restores etcd from a backup
	backup  func(context.Context) error
}

// fault injects a fault and repairs it; it blocks until then.
type fault struct {
	name string
	do   func(context.Context) error
}

// run injects one fault after the other until ctx ends; the last one is repaired before it returns.
// Half way through, etcd is restored from a backup.
func (f *faults) run(ctx context.Context, duration time.Duration) error {
	uncancelled := context.WithoutCancel(ctx)
	third := f.begun.Add(duration / 3)
	kept, restored := false, false
	for {
		behaviours.Pause(ctx, time.Duration(1000+f.random.IntN(3000))*time.Millisecond)
		select {
		case <-ctx.Done():
			return nil
		default:
		}
		next := f.all()[f.random.IntN(len(f.all()))]
		switch now := time.Now(); {
		case !kept && now.After(third):
			kept, next = true, fault{"etcd is backed up", f.backup}
		case kept && !restored && now.After(third.Add(duration/6)):
			restored, next = true, fault{"etcd is restored", f.restore}
		}
		fmt.Fprintf(f.out, "soak: after %3.0f s: %s\n", time.Since(f.begun).Seconds(), next.name)
		if err := next.do(uncancelled); err != nil {
			return fmt.Errorf("%s: %w", next.name, err)
		}
		f.others.Add(1)
	}
}

func (f *faults) all() []fault {
	replica := f.stage.replicas[f.random.IntN(len(f.stage.replicas))].Process
	span := func(most int) time.Duration { return time.Duration(500+f.random.IntN(most*1000)) * time.Millisecond }
	while := func(most int, on, off func()) func(context.Context) error {
		return func(ctx context.Context) error {
			on()
			defer off()
			behaviours.Pause(ctx, span(most))
			return nil
		}
	}
	return []fault{
		{"a controller is killed", f.kill(replica, 0)},
		{"a controller is killed and stays away", f.kill(replica, span(6))},
		{"a controller is paused", func(ctx context.Context) error {
			_ = replica.Pause() // it may just have exited
			behaviours.Pause(ctx, span(9))
			_ = replica.Resume()
			return nil
		}},
		{"the API server is killed", f.killPlane(f.stage.plane.APIServer)},
		{"etcd is killed", f.killPlane(f.stage.plane.Etcd)},
		{"the webhooks cannot be reached", while(6, func() { f.stage.webhooks.cut.Store(true) }, func() { f.stage.webhooks.cut.Store(false) })},
		{"watches are held back", while(9, func() { f.stage.proxy.hold(true) }, func() { f.stage.proxy.hold(false) })},
		{"requests are late, and answers are lost", while(9, func() { f.stage.proxy.setSlow(true) }, func() { f.stage.proxy.setSlow(false) })},
		{"the certificate is replaced", f.rotate},
	}
}

// kill kills a process; the supervisor restarts it after a while.
func (f *faults) kill(p *process.Process, away time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		f.kills.Add(1)
		f.stage.leave(p, true)
		defer f.stage.leave(p, false)
		if !p.Alive() {
			return nil
		}
		if err := p.Kill(ctx); err != nil {
			return err
		}
		behaviours.Pause(ctx, away)
		return nil
	}
}

// killPlane kills a part of the control plane and starts it again.
func (f *faults) killPlane(p *process.Process) func(context.Context) error {
	return func(ctx context.Context) error {
		f.kills.Add(1)
		if err := p.Kill(ctx); err != nil {
			return err
		}
		behaviours.Pause(ctx, time.Duration(f.random.IntN(3000))*time.Millisecond)
		if err := p.Restart(); err != nil {
			return err
		}
		return f.stage.plane.Ready(ctx)
	}
}

// rotate deletes the Secret of the certificate and kills the replicas one after the other: each
// creates or finds the new one when it starts.
func (f *faults) rotate(ctx context.Context) error {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: install.Namespace, Name: "spiderpool-serving-cert"}}
	if err := client.IgnoreNotFound(f.stage.client.Delete(ctx, secret)); err != nil {
		return err
	}
	for _, c := range f.stage.replicas {
		if err := f.kill(c.Process, 0)(ctx); err != nil {
			return err
		}
		behaviours.Pause(ctx, 2*time.Second)
	}
	return nil
}
