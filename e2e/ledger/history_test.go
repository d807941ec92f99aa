package ledger

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/ledger"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

const (
	historyProcesses = 3
	historyCallers   = 3  // in each process
	historyCalls     = 50 // of each caller
	historyPools     = 3
)

// call is one call of a ledger, and what came of it.
type call struct {
	Kind    string // reserve, bind, settle, release, expire, read
	Pool    string
	Token   string
	Address string // asked for, or given; empty where none was given
	OK      bool   // it was done
	State   string // that was read

	Client        int
	Begin, Return int64 // on the clock that all processes of the machine share
}

// What several processes did to pools at the same time could have been done by one after the other:
// no order of it gives an address twice, says that a full pool has room or the other way round, or
// loses what was answered.
func TestHistoryOfSeveralProcessesIsOneOfSingleSteps(t *testing.T) {
	t.Parallel()
	job := historyJob{Host: kubeConfig.Host, TLS: kubeConfig.TLSClientConfig}
	for i := range historyPools {
		job.Pools = append(job.Pools, newPool(t, fmt.Sprintf("10.9.%d.0/24", i), fmt.Sprintf("10.9.%d.1-10.9.%d.3", i, i)).Name)
	}
	var mu sync.Mutex
	var history []call
	var all sync.WaitGroup
	for i := range historyProcesses {
		all.Go(func() {
			calls, err := job.run(t.Context(), uint64(i))
			if err != nil {
				t.Errorf("process %d: %v", i, err)
			}
			mu.Lock()
			defer mu.Unlock()
			history = append(history, calls...)
		})
	}
	all.Wait()
	given, refused := 0, 0
	for _, c := range history {
		if c.Kind == "reserve" || c.Kind == "bind" {
			if c.Address == "" {
				refused++
			} else {
				given++
			}
		}
	}
	if given < 50 || refused < 10 {
		t.Errorf("%d calls were given an address and %d were not: too few of either to say anything", given, refused)
	}
	if want := historyProcesses * historyCallers * historyCalls; len(history) != want {
		t.Errorf("%d calls, want %d", len(history), want)
	}
	result, info := porcupine.CheckOperationsVerbose(poolModel, operations(history), 2*time.Minute)
	if result != porcupine.Ok {
		file := filepath.Join(os.TempDir(), "history.html")
		t.Errorf("%s: no order of single steps explains it; %s shows it (%v)", result, file, porcupine.VisualizePath(poolModel, info, file))
	}
	t.Logf("%d calls of %d processes, %d given an address, %d refused", len(history), historyProcesses, given, refused)
}

// The check itself notices what it is there for.
func TestAHistoryWithADoubleIsNone(t *testing.T) {
	t.Parallel()
	reserve := func(token, address string, begin int64) call {
		return call{Kind: "reserve", Pool: "p", Token: token, Address: address, OK: address != "", Begin: begin, Return: begin + 5}
	}
	for name, c := range map[string]struct {
		history []call
		want    porcupine.CheckResult
	}{
		"one after the other":             {[]call{reserve("a", "10.9.0.1", 0), reserve("b", "10.9.0.2", 10)}, porcupine.Ok},
		"one address twice":               {[]call{reserve("a", "10.9.0.1", 0), reserve("b", "10.9.0.1", 10)}, porcupine.Illegal},
		"refused while there is room":     {[]call{reserve("a", "", 0)}, porcupine.Illegal},
		"read as it was before an answer": {[]call{reserve("a", "10.9.0.1", 0), {Kind: "read", Pool: "p", Begin: 10, Return: 15}}, porcupine.Illegal},
		"read as it was meanwhile":        {[]call{reserve("a", "10.9.0.1", 0), {Kind: "read", Pool: "p", Begin: 3, Return: 15}}, porcupine.Ok},
		"expired and given again": {[]call{
			reserve("a", "10.9.0.1", 0), {Kind: "expire", Pool: "p", Token: "a", Address: "10.9.0.1", OK: true, Begin: 10, Return: 15}, reserve("b", "10.9.0.1", 20),
		}, porcupine.Ok},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, _ := porcupine.CheckOperationsVerbose(poolModel, operations(c.history), time.Minute); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func operations(history []call) []porcupine.Operation {
	all := make([]porcupine.Operation, len(history))
	for i, c := range history {
		all[i] = porcupine.Operation{ClientId: c.Client, Input: c, Call: c.Begin, Output: c, Return: c.Return}
	}
	return all
}

// poolModel is a pool of three addresses in which one thing happens after the other. Its state is
// text: address=token, or address=settled.
var poolModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byPool := map[string][]porcupine.Operation{}
		for _, o := range history {
			pool := o.Input.(call).Pool //nolint:forcetypeassert // operations made it
			byPool[pool] = append(byPool[pool], o)
		}
		return slices.Collect(maps.Values(byPool))
	},
	Init: func() any { return "" },
	Step: func(state, input, _ any) (bool, any) {
		next, ok := step(parseState(state.(string)), input.(call)) //nolint:forcetypeassert // of this model
		return ok, next.String()
	},
}

type modelState map[string]string // address -> token, or settled

const settledState = "settled"

func parseState(text string) modelState {
	s := modelState{}
	for field := range strings.FieldsSeq(text) {
		address, what, _ := strings.Cut(field, "=")
		s[address] = what
	}
	return s
}

func (s modelState) String() string {
	var fields []string
	for _, address := range slices.Sorted(maps.Keys(s)) {
		fields = append(fields, address+"="+s[address])
	}
	return strings.Join(fields, " ")
}

// step makes a call, and reports whether it could have had the answer that it had.
func step(s modelState, c call) (modelState, bool) {
	switch c.Kind {
	case "reserve", "bind":
		for address, token := range s {
			if token == c.Token { // it was reserved before
				return s, c.Address == address
			}
		}
		if c.Address == "" {
			return s, len(s) == 3
		}
		if s[c.Address] != "" {
			return s, false
		}
		s[c.Address] = c.Token
		return s, true
	case "settle":
		if s[c.Address] != c.Token {
			return s, !c.OK
		}
		s[c.Address] = settledState
		return s, c.OK
	case "release":
		if s[c.Address] != settledState {
			return s, !c.OK
		}
		delete(s, c.Address)
		return s, c.OK
	case "expire":
		if s[c.Address] != c.Token {
			return s, !c.OK
		}
		delete(s, c.Address)
		return s, c.OK
	}
	return s, c.State == s.String()
}

// historyJob is what one process is to do.
type historyJob struct {
	Host  string
	TLS   rest.TLSClientConfig
	Pools []string
	Seed  uint64
}

// historyVariable makes this program one of the processes.
const historyVariable = "SPIDERPOOL_HISTORY_PROCESS"

// run starts a process that does the job, and returns what it did.
func (j historyJob) run(ctx context.Context, seed uint64) ([]call, error) {
	j.Seed = seed
	text, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var out, said bytes.Buffer
	command := exec.CommandContext(ctx, program)
	command.Env = append(os.Environ(), historyVariable+"=1")
	command.Stdin, command.Stdout, command.Stderr = bytes.NewReader(text), &out, &said
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, said.String())
	}
	var calls []call
	for lines := bufio.NewScanner(&out); lines.Scan(); {
		var c call
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return nil, err
		}
		calls = append(calls, c)
	}
	return calls, nil
}

// historyProcess is the main function of such a process.
func historyProcess() int {
	var job historyJob
	err := json.NewDecoder(os.Stdin).Decode(&job)
	if err == nil {
		err = job.do(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func (j historyJob) do(ctx context.Context) error {
	scheme := runtime.NewScheme()
	if err := crdv1.AddToScheme(scheme); err != nil {
		return err
	}
	c, err := client.New(&rest.Config{Host: j.Host, TLSClientConfig: j.TLS, QPS: -1}, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	api := &faulty{API: ledger.NewAPI(c)}
	api.update = func(ctx context.Context, n int64, pool *crdv1.SpiderIPPool) (*crdv1.SpiderIPPool, error) {
		if n%7 == 0 { // a write of unknown outcome
			return nil, api.landed(ctx, pool)
		}
		return api.API.UpdateStatus(ctx, pool)
	}
	l := ledger.New(ledger.Options{API: api, Pools: nothing{}, Caps: ledger.Caps{Namespace: 100, Owner: 100}})
	var mu sync.Mutex
	var all sync.WaitGroup
	var failed []error
	encoder := json.NewEncoder(os.Stdout)
	for i := range historyCallers {
		all.Go(func() {
			p := &caller{l: l, api: api, job: j, id: int(j.Seed)*historyCallers + i, random: rand.New(rand.NewPCG(j.Seed, uint64(i)))}
			for n := range historyCalls {
				c, err := p.next(ctx, n)
				mu.Lock()
				failed = append(failed, err, encoder.Encode(c))
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return errors.Join(failed...)
}

// caller calls a ledger, and remembers what it has.
type caller struct {
	l      *ledger.Ledger
	api    ledger.API
	job    historyJob
	id     int
	random *rand.Rand

	reserved, settled []call
}

func (p *caller) next(ctx context.Context, n int) (call, error) {
	c := call{Kind: "reserve", Client: p.id, Pool: p.job.Pools[p.random.IntN(len(p.job.Pools))]}
	switch what := p.random.IntN(10); {
	case what < 2 && len(p.reserved) > 0:
		c = p.take(&p.reserved, "settle")
	case what < 4 && len(p.reserved) > 0:
		c = p.take(&p.reserved, "expire")
	case what < 6 && len(p.settled) > 0:
		c = p.take(&p.settled, "release")
	case what == 6:
		c.Kind = "read"
	case what == 7:
		c.Kind = "bind"
	}
	c.Begin = now()
	err := p.do(ctx, &c, n)
	c.Return = now()
	switch {
	case c.Address == "" || !c.OK:
	case c.Kind == "reserve" || c.Kind == "bind":
		p.reserved = append(p.reserved, c)
	case c.Kind == "settle":
		p.settled = append(p.settled, c)
	}
	return c, err
}

// take takes one of what the caller has.
func (p *caller) take(from *[]call, kind string) call {
	i := p.random.IntN(len(*from))
	had := (*from)[i]
	*from = slices.Delete(*from, i, i+1)
	return call{Kind: kind, Client: p.id, Pool: had.Pool, Token: had.Token, Address: had.Address}
}

func (p *caller) do(ctx context.Context, c *call, n int) error {
	switch c.Kind {
	case "reserve":
		r := allocator.Reservation{Token: allocator.NewToken(), Pod: allocator.PodRef{Namespace: "ns"}}
		claims, err := p.l.Reserve(ctx, r, slotsOf([]string{c.Pool}))
		return c.given(string(r.Token), claims, err)
	case "bind":
		uid := fmt.Sprintf("uid-%d-%d", p.id, n%5) // now and then the same pod again
		r := allocator.Reservation{Token: allocator.LateToken(uid), Pod: allocator.PodRef{Namespace: "ns", Name: uid, UID: uid}}
		claims, err := p.l.Bind(ctx, r, slotsOf([]string{c.Pool}), noFence)
		return c.given(string(r.Token), claims, err)
	case "read":
		return p.read(ctx, c)
	}
	address, err := netip.ParseAddr(c.Address)
	if err != nil {
		return err
	}
	done := false // in whichever attempt
	err = p.l.Apply(ctx, c.Pool, ledger.Change{Do: func(tx *ledger.Tx) error {
		switch r, awaited := tx.Record.AwaitedAt(address); {
		case c.Kind == "release" && tx.Record.InUse(address):
			done = true
			return tx.Record.Release(address)
		case c.Kind == "settle" && awaited && string(r.Token) == c.Token:
			done = true
			return tx.Record.Settle(address, r.Token, 1)
		case c.Kind == "expire" && awaited && string(r.Token) == c.Token:
			done = true
			return tx.Record.GiveBack(address, r.Token)
		}
		return nil
	}})
	c.OK = done
	return err
}

// given notes what a ledger has given.
func (c *call) given(token string, claims []crdv1.Claim, err error) error {
	c.Token = token
	var exhausted *ledger.ExhaustedError
	switch {
	case errors.As(err, &exhausted):
		return nil
	case err != nil:
		return err
	}
	c.Address, c.OK = claims[0].Address.String(), true
	return nil
}

func (p *caller) read(ctx context.Context, c *call) error {
	object, err := p.api.Get(ctx, c.Pool)
	if err != nil {
		return err
	}
	state, err := ledger.Read(object)
	if err != nil {
		return err
	}
	s := modelState{}
	for address := range state.Record.Taken().All() {
		s[address.String()] = settledState
		if r, ok := state.Record.AwaitedAt(address); ok {
			s[address.String()] = string(r.Token)
		}
	}
	c.State = s.String()
	return nil
}

// now is the time on a clock that only goes on, the same for all processes.
func now() int64 {
	var at unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &at); err != nil {
		panic(err)
	}
	return at.Nano()
}
