package nodes

import (
	"context"
	_ "embed" // the manifest
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
	"spidernet.io/spiderpool/e2e/cluster"
	"spidernet.io/spiderpool/e2e/cluster/process"
)

//go:embed node-faults.yaml
var nodeFaultsManifest []byte

// NodeFaults proves: while pods that want the few addresses of a pool come and go, some of them
// deleted by force, on a node whose kubelet, containerd and shims are killed, whose cable is cut,
// and which is removed and added anew, no address is ever heard from two at one time, and all are
// free in the end.
var NodeFaults = behaviours.Behaviour{ID: "node-faults", Manifest: nodeFaultsManifest, Test: nodeFaults}

const (
	faultsPool    = "node-faults"
	faultsWorkers = 8 // more than there are addresses
	faultsFor     = 100 * time.Second
)

func nodeFaults(t *testing.T, e *behaviours.Env) {
	random := rand.New(rand.NewPCG(behaviours.Seed(t), 0))
	spare := e.Borrow(t)
	probers := map[netip.Addr]*behaviours.Prober{}
	for a := netip.MustParseAddr("172.18.57.1"); a.Compare(netip.MustParseAddr("172.18.57.6")) <= 0; a = a.Next() {
		probers[a] = e.Probe(t, a)
	}
	busy, stop := context.WithTimeout(t.Context(), faultsFor)
	defer stop()
	var work sync.WaitGroup
	var did moved
	for i := range faultsWorkers {
		own := rand.New(rand.NewPCG(random.Uint64(), 0))
		work.Go(func() { did.moves(busy, e, i, spare.Name, own) })
	}
	faults := breaks(busy, t, e, spare, random)
	work.Wait()
	e.DeleteAll(t, faultsPool)
	e.Restore(t.Context(), t, spare) // what is held waits for it
	behaviours.Eventually(t, 2*untilProof, func(ctx context.Context) error { return nothingTaken(ctx, e, faultsPool) })
	heard := 0
	for a, p := range probers {
		answers := p.Answers(t)
		if found := behaviours.Double(answers); found != "" {
			t.Errorf("two had %s at one time: %s", a, found)
		}
		by := map[string]bool{}
		for _, h := range answers {
			by[h.By] = true
		}
		heard += len(by)
	}
	said := fmt.Sprintf("%d pods ran, %d answered a ping, among %d faults; %d holders of %d addresses were heard",
		did.ran.Load(), did.answered.Load(), faults, heard, len(probers))
	if heard <= len(probers) || faults < 3 || did.answered.Load() == 0 {
		t.Errorf("too little happened: %s", said)
	}
	t.Log(said)
}

func nothingTaken(ctx context.Context, e *behaviours.Env, name string) error {
	var pool crdv1.SpiderIPPool
	if err := e.Client.Get(ctx, client.ObjectKey{Name: name}, &pool); err != nil {
		return err
	}
	record, err := behaviours.RecordOf(&pool)
	if err != nil {
		return err
	}
	if n := record.Count(); n > 0 {
		return fmt.Errorf("%d addresses are taken: %+v", n, pool.Status)
	}
	return nil
}

// moved counts what pods did.
type moved struct{ ran, answered atomic.Int64 }

// moves has one pod after the other take an address, until ctx ends. What does not come to run in
// time is deleted all the same.
func (m *moved) moves(ctx context.Context, e *behaviours.Env, worker int, spare string, random *rand.Rand) {
	for i := 0; ctx.Err() == nil; i++ {
		pod := podOf(faultsPool, fmt.Sprintf("pod-%d-%d", worker, i), faultsPool)
		if random.IntN(3) > 0 {
			pod = behaviours.Pinned(pod, spare)
		}
		if e.Client.Create(ctx, pod) != nil {
			behaviours.Pause(ctx, time.Second)
			continue
		}
		running := func(ctx context.Context) error {
			if err := e.Client.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil {
				return err
			}
			return behaviours.Ready(pod)
		}
		if behaviours.Await(ctx, 20*time.Second, running) == nil {
			m.ran.Add(1)
			if a, err := netip.ParseAddr(pod.Status.PodIP); err == nil && e.TryPing(ctx, a) == nil {
				m.answered.Add(1)
			}
			behaviours.Pause(ctx, time.Duration(random.IntN(4))*time.Second)
		}
		var how []client.DeleteOption
		if random.IntN(5) == 0 { // not more: what is held, nobody gets until its node has been well for long
			how = append(how, client.GracePeriodSeconds(0))
		}
		_ = e.Client.Delete(context.WithoutCancel(ctx), pod, how...) // one that stays is deleted in the end
	}
}

// removeNode switches a node off, deletes its object, and has it register anew.
func removeNode(ctx context.Context, t *testing.T, e *behaviours.Env, n *cluster.Node) {
	t.Helper()
	t.Log("it is removed, and added anew")
	node := &corev1.Node{}
	node.Name = n.Name
	err := n.PullPlug(ctx)
	if err == nil {
		err = e.Client.Delete(ctx, node)
	}
	if err != nil {
		t.Errorf("removing node %s: %v", n.Name, err)
	}
	e.Restore(ctx, t, n)
}

// breaks breaks one thing of a node after the other, until ctx ends; in the middle of that the node
// is removed. It returns how many there were.
func breaks(ctx context.Context, t *testing.T, e *behaviours.Env, n *cluster.Node, random *rand.Rand) (faults int) {
	t.Helper()
	half, removed := time.Now().Add(faultsFor/2), false
	for ; ctx.Err() == nil; faults++ {
		behaviours.Pause(ctx, time.Duration(1+random.IntN(4))*time.Second)
		if !removed && time.Now().After(half) {
			removed = true
			removeNode(context.WithoutCancel(ctx), t, e, n)
			continue
		}
		breakNode(ctx, t, n, random)
	}
	return faults
}

// breakNode breaks one thing of a node, and mends it.
func breakNode(ctx context.Context, t *testing.T, n *cluster.Node, random *rand.Rand) {
	t.Helper()
	away := time.Duration(random.IntN(6)) * time.Second
	restart := func(p *process.Process) error {
		if err := p.Kill(context.WithoutCancel(ctx)); err != nil {
			return err
		}
		behaviours.Pause(ctx, away)
		return p.Restart()
	}
	var err error
	switch what := random.IntN(4); what {
	case 0:
		t.Logf("its kubelet is killed, and away for %s", away)
		err = restart(n.Kubelet)
	case 1:
		t.Logf("its containerd is killed, and away for %s", away)
		err = restart(n.Containerd)
	case 2:
		var killed int
		killed, err = killShims(n)
		t.Logf("%d shims are killed", killed)
	default:
		t.Logf("its cable is cut for %s", away)
		if err = n.CutCable(); err == nil {
			behaviours.Pause(ctx, away)
			err = n.MendCable()
		}
	}
	if err != nil {
		t.Errorf("breaking node %s: %v", n.Name, err)
	}
}

// killShims kills what stands between containerd and the containers of a node.
func killShims(n *cluster.Node) (killed int, err error) {
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return 0, err
	}
	for _, file := range all {
		text, err := os.ReadFile(filepath.Clean(file))
		if err != nil {
			continue // it has ended
		}
		if !strings.Contains(string(text), "containerd-shim") || !belongs(n, filepath.Dir(file)) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return killed, err
		}
		switch err := syscall.Kill(pid, syscall.SIGKILL); {
		case err == nil:
			killed++
		case !errors.Is(err, syscall.ESRCH):
			return killed, err
		}
	}
	return killed, nil
}

// belongs reports whether a process runs on a node, which counts its own.
func belongs(n *cluster.Node, proc string) bool {
	of, err1 := os.Readlink(filepath.Join(proc, "ns", "pid"))
	own, err2 := os.Readlink(filepath.Join("/proc", strconv.Itoa(n.Machine.PID()), "ns", "pid"))
	return errors.Join(err1, err2) == nil && of == own
}
