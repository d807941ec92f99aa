package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator/check"
	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
)

// Options say how long to run, and with which seed.
type Options struct {
	Duration time.Duration
	Seed     uint64
	Dir      string    // for the controllers' files; kept
	Out      io.Writer // gets a line for each fault
}

// Report is the result of a run.
type Report struct {
	Pods, Kills, Faults int64
	Doubles, Leaks      []string // every other violation counts as a double
	Releases            int      // that were measured
	SlowestRelease      time.Duration
	LongestWait         Wait // of a pod for its addresses
}

func (r Report) String() string {
	text := fmt.Sprintf("%d pods, %d kills among %d faults, doubles %d, leaks %d, slowest of %d releases %s, longest wait for an address %s",
		r.Pods, r.Kills, r.Faults, len(r.Doubles), len(r.Leaks), r.Releases, r.SlowestRelease.Round(time.Millisecond), r.LongestWait)
	return strings.Join(slices.Concat([]string{text}, r.Doubles, r.Leaks), "\n  ")
}

// Err returns an error where the run found a violation.
func (r Report) Err() error {
	if len(r.Doubles)+len(r.Leaks) > 0 {
		return errors.New("an address was doubled or leaked")
	}
	if r.Pods == 0 || r.Kills == 0 || r.Faults < 3 || r.Releases == 0 {
		return errors.New("too little happened to say anything")
	}
	return nil
}

// calm limits how long it may take until nothing changes any more: the grace of reservations, and
// holds of unknown nodes after the last change of leader.
const calm = behaviours.Grace + 4*time.Minute

// Run creates and deletes pods for a while, waits until nothing changes any more, and checks.
func Run(ctx context.Context, o Options) (report Report, err error) {
	s, err := start(ctx, o.Dir, o.Seed)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, s.end(context.WithoutCancel(ctx))) }()
	r := &run{Options: o, stage: s, releases: releases{ended: map[netip.Addr]time.Time{}}}
	if err := r.begin(ctx); err != nil {
		return report, err
	}
	fmt.Fprintf(o.Out, "soak: %s by seed %d\n", o.Duration, o.Seed)
	err = r.disturb(ctx)
	if err == nil {
		err = r.settle(ctx)
	}
	return r.report, err
}

// run is the state of one run.
type run struct {
	Options

	stage    *stage
	nodes    *nodes
	load     workload
	releases releases
	backup   string

	watching sync.Mutex // protects watch while it is replaced
	watch    *check.Watch
	doubles  []check.Violation // found by earlier watches
	report   Report
}

func (r *run) random(n uint64) *rand.Rand { return rand.New(rand.NewPCG(r.Seed, n)) }

func (r *run) begin(ctx context.Context) (err error) {
	r.load.client = r.stage.client
	if r.nodes, err = newNodes(ctx, r.stage.plane.Config, r.stage.client, r.random(10), r.releases.note); err != nil {
		return err
	}
	r.watch, err = check.Start(context.WithoutCancel(ctx), r.stage.client)
	return err
}

// disturb runs the workload and the faults.
func (r *run) disturb(ctx context.Context) error {
	f := &faults{stage: r.stage, random: r.random(11), out: r.Out, begun: time.Now(), backup: r.takeBackup, restore: r.restoreBackup}
	busy, stop := context.WithTimeout(ctx, r.Duration)
	defer stop()
	always, end := context.WithCancel(ctx)
	defer end()
	var all sync.WaitGroup
	all.Go(func() { r.nodes.run(always) })
	all.Go(func() { r.stage.supervise(always) })
	all.Go(func() { r.releases.follow(always, r.stage) })
	all.Go(func() { r.keepWatching(always) })
	var work sync.WaitGroup
	for i := range workers {
		work.Go(func() { r.load.worker(busy, i, r.random(uint64(20+i))) })
	}
	work.Go(func() { r.load.scaler(busy, r.random(12)) })
	err := f.run(busy, r.Duration)
	stop()
	work.Wait()
	end()
	all.Wait()
	r.report.Pods, r.report.Kills, r.report.Faults = r.load.made.Load(), f.kills.Load(), f.others.Load()
	return err
}

// settle waits until nothing changes any more, and collects what is wrong.
func (r *run) settle(ctx context.Context) error {
	fmt.Fprintln(r.Out, "soak: everything works again; waiting until nothing changes any more")
	always, end := context.WithCancel(ctx)
	defer end()
	var all sync.WaitGroup
	all.Go(func() { r.nodes.run(always) })
	all.Go(func() { r.stage.supervise(always) })
	all.Go(func() { r.releases.follow(always, r.stage) })
	err := behaviours.Await(ctx, patience, r.stage.clear)
	if err == nil {
		err = r.judge(ctx)
	}
	end()
	all.Wait()
	return err
}

func (r *run) judge(ctx context.Context) error {
	found, err := check.Settled(ctx, r.stage.client, calm)
	if err != nil {
		return err
	}
	left := behaviours.Await(ctx, calm, r.empty)
	// If the API server has lost events that the watch had not seen, the kubelets still saw what
	// ran.
	seen, err := r.watch.Stop(ctx)
	if err != nil && !errors.Is(err, check.ErrGap) {
		return err
	}
	for _, v := range slices.Concat(r.doubles, seen, found) {
		text := v.String()
		switch {
		case v.Rule == check.RuleLeak && !slices.Contains(r.report.Leaks, text):
			r.report.Leaks = append(r.report.Leaks, text)
		case v.Rule != check.RuleLeak && !slices.Contains(r.report.Doubles, text):
			r.report.Doubles = append(r.report.Doubles, text)
		}
	}
	r.report.Doubles = append(r.report.Doubles, r.nodes.doubles...)
	if left != nil {
		r.report.Leaks = append(r.report.Leaks, left.Error())
	}
	r.report.SlowestRelease, r.report.Releases, r.report.LongestWait = r.releases.slowest, r.releases.seen, r.nodes.longest
	return nil
}

// empty returns an error that says what pools still have, although no pod is left.
func (r *run) empty(ctx context.Context) error {
	for _, name := range []string{poolV4, poolV6} {
		var pool crdv1.SpiderIPPool
		if err := r.stage.client.Get(ctx, client.ObjectKey{Name: name}, &pool); err != nil {
			return err
		}
		if n := pool.Status.AllocatedIPCount; n == nil || *n != 0 {
			s := &pool.Status
			return fmt.Errorf("pool %s: settled %v, reserved %s, retained %s, held %s", name, s.Settled, strings.Join(s.Reserved, "; "), strings.Join(s.Retained, "; "), strings.Join(s.Held, "; "))
		}
	}
	return nil
}

// keepWatching restarts the watch where the API server has lost events that it has not seen.
func (r *run) keepWatching(ctx context.Context) {
	for ctx.Err() == nil {
		behaviours.Pause(ctx, time.Second)
		r.watching.Lock()
		if r.watch.Lost() {
			_ = r.rewatch(ctx) // the next check tries again
		}
		r.watching.Unlock()
	}
}

func (r *run) rewatch(ctx context.Context) error {
	watch, err := check.Start(context.WithoutCancel(ctx), r.stage.client)
	if err == nil {
		r.doubles = append(r.doubles, r.watch.Abandon()...)
		r.watch = watch
	}
	return err
}

func (r *run) takeBackup(ctx context.Context) (err error) {
	r.backup, err = r.stage.plane.Backup(ctx)
	return err
}

// restoreBackup restores etcd from the backup. What ran then runs again, and what came later never
// existed: so the nodes start from scratch too.
func (r *run) restoreBackup(ctx context.Context) error {
	r.watching.Lock()
	defer r.watching.Unlock()
	r.nodes.round.Lock() // no pod may start that will never have existed
	defer r.nodes.round.Unlock()
	r.stage.leave(r.stage.plane.ControllerManager, true)
	err := r.stage.plane.Restore(ctx, r.backup)
	r.stage.leave(r.stage.plane.ControllerManager, false)
	r.nodes.forget()
	if err != nil {
		return err
	}
	return behaviours.Await(ctx, patience, r.rewatch)
}
