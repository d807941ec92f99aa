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

// Options say how long, and by which seed.
type Options struct {
	Duration time.Duration
	Seed     uint64
	Dir      string    // for the controllers' files; kept
	Out      io.Writer // is told what is broken
}

// Report is what came of it.
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

// Err says whether what it should not be found was.
func (r Report) Err() error {
	if len(r.Doubles)+len(r.Leaks) > 0 {
		return errors.New("an address was doubled or leaked")
	}
	if r.Pods == 0 || r.Kills == 0 || r.Faults < 3 || r.Releases == 0 {
		return errors.New("too little happened to say anything")
	}
	return nil
}

// calm bounds how long everything may take to come to rest: the grace of
// reservations, and holds of unknown nodes after the last change of leader.
const calm = behaviours.Grace + 4*time.Minute

// Run lets pods come and go for a while, lets everything come to rest, and looks.
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

// run is one run.
type run struct {
	Options

	stage    *stage
	nodes    *nodes
	load     workload
	releases releases
	backup   string

	watching sync.Mutex // watch is replaced
	watch    *check.Watch
	doubles  []check.Violation // that earlier watches saw
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

// disturb is the time in which things are broken.
func (r *run) disturb(ctx context.Context) error {
	f := &faults{stage: r.stage, random: r.random(11), out: r.Out, begun: time.Now(), backup: r.takeBackup, restore: r.takeBack}
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

// settle lets everything come to rest, and looks for what is left.
func (r *run) settle(ctx context.Context) error {
	fmt.Fprintln(r.Out, "soak: everything works again; waiting for all to come to rest")
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
	// Where the API server has forgotten what the watch had not seen, kubelets saw
	// what ran all the same.
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

// empty returns an error that says what pools have still: nobody is there.
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

// keepWatching watches the pods anew where the API server has forgotten what the
// watch has not seen.
func (r *run) keepWatching(ctx context.Context) {
	for ctx.Err() == nil {
		behaviours.Pause(ctx, time.Second)
		r.watching.Lock()
		if r.watch.Lost() {
			_ = r.watchAnew(ctx) // the next look tries again
		}
		r.watching.Unlock()
	}
}

func (r *run) watchAnew(ctx context.Context) error {
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

// takeBack takes etcd back to the backup. What ran then runs again, and what came
// later has never been: so the nodes begin anew too.
func (r *run) takeBack(ctx context.Context) error {
	r.watching.Lock()
	defer r.watching.Unlock()
	r.nodes.round.Lock() // nobody starts what will never have been
	defer r.nodes.round.Unlock()
	r.stage.leave(r.stage.plane.ControllerManager, true)
	err := r.stage.plane.Restore(ctx, r.backup)
	r.stage.leave(r.stage.plane.ControllerManager, false)
	r.nodes.forget()
	if err != nil {
		return err
	}
	return behaviours.Await(ctx, patience, r.watchAnew)
}
