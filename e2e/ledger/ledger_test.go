package ledger

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/ledger"
	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/apiserver"
)

func TestTwoLedgersFillOnePoolWithoutADouble(t *testing.T) {
	t.Parallel()
	pool := newPool(t, "10.1.0.0/24", "10.1.0.1-10.1.0.254")
	ledgers := []*ledger.Ledger{newLedger(ledger.NewAPI(kube)), newLedger(ledger.NewAPI(kube))}
	var mu sync.Mutex
	given := map[netip.Addr]allocator.Token{} // address -> who got it
	refused := 0
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			for range 10 { // 320 wishes for 254 addresses
				token, address, err := reserve(t.Context(), ledgers[i%2], pool.Name)
				mu.Lock()
				var exhausted *ledger.ExhaustedError
				switch {
				case errors.As(err, &exhausted):
					refused++
				case err != nil:
					t.Error(err)
				case given[address] != "":
					t.Errorf("%s was given to %s and to %s", address, given[address], token)
				default:
					given[address] = token
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(given) != 254 || refused != 66 {
		t.Errorf("%d were served and %d refused, want 254 and 66", len(given), refused)
	}
	r := record(t, pool.Name)
	for address, token := range given {
		if v, ok := r.AwaitedAt(address); !ok || v.Token != token {
			t.Errorf("%s was given to %s, the record says %+v", address, token, v)
		}
	}
	_, _, err := reserve(t.Context(), ledgers[0], pool.Name)
	want := fmt.Sprintf(`reserving from pool %q: all 254 addresses are taken (254 reserved until their pods come or they expire)`, pool.Name)
	if err == nil || err.Error() != want {
		t.Errorf("the refusal is\n  %v\nwant\n  %s", err, want)
	}
}

func TestChangesThatWaitShareOneWrite(t *testing.T) {
	t.Parallel()
	pool := newPool(t, "10.1.0.0/24", "10.1.0.1-10.1.0.254")
	api, g := newFaulty(), newGate()
	api.update = func(ctx context.Context, n int64, p *crdv1.SpiderIPPool) (*crdv1.SpiderIPPool, error) {
		if n == 1 {
			g.pass()
		}
		return api.API.UpdateStatus(ctx, p)
	}
	l := newLedger(api)
	var wg sync.WaitGroup
	take := func() {
		if _, _, err := reserve(t.Context(), l, pool.Name); err != nil {
			t.Error(err)
		}
	}
	wg.Go(take)
	<-g.reached
	for range 40 {
		wg.Go(take)
	}
	apiserver.Eventually(t, "40 wait for the write in flight", func() bool { return l.Waiting(pool.Name) == 40 })
	close(g.open)
	wg.Wait()
	if n := api.writes.Load(); n != 2 {
		t.Errorf("41 reservations took %d writes, want 2", n)
	}
}

func TestConflictsReadOnceAndComputeAnew(t *testing.T) {
	t.Parallel()
	pool := newPool(t, "10.1.0.0/24", "10.1.0.1-10.1.0.254")
	api := newFaulty()
	api.update = func(ctx context.Context, n int64, p *crdv1.SpiderIPPool) (*crdv1.SpiderIPPool, error) {
		if n%2 == 1 {
			foreign(t, pool.Name)
		}
		return api.API.UpdateStatus(ctx, p)
	}
	behind, err := ledger.NewAPI(kube).Get(t.Context(), pool.Name)
	if err != nil {
		t.Fatal(err)
	}
	l := ledger.New(ledger.Options{API: api, Pools: stale{behind}})
	for i := range 5 {
		if _, _, err := reserve(t.Context(), l, pool.Name); err != nil {
			t.Fatal(err)
		}
		if got, want := record(t, pool.Name).Count(), i+1; got != want {
			t.Fatalf("%d addresses are taken, want %d", got, want)
		}
	}
	if reads, writes := api.reads.Load(), api.writes.Load(); reads != 5 || writes != 10 {
		t.Errorf("%d reads and %d writes, want 5 and 10", reads, writes)
	}
}

func TestAWriteThatLandedThoughItsAnswerWasLostGivesOneAddress(t *testing.T) {
	t.Parallel()
	pool := newPool(t, "10.1.0.0/24", "10.1.0.1-10.1.0.254")
	api := newFaulty()
	api.update = func(ctx context.Context, n int64, p *crdv1.SpiderIPPool) (*crdv1.SpiderIPPool, error) {
		if n%2 == 1 {
			return nil, api.landed(ctx, p)
		}
		return api.API.UpdateStatus(ctx, p)
	}
	l := newLedger(api)
	given := map[netip.Addr]bool{}
	for range 6 {
		token, address, err := reserve(t.Context(), l, pool.Name)
		if err != nil {
			t.Fatal(err)
		}
		if at, ok := record(t, pool.Name).ByToken(token, crdv1.DefaultNIC); !ok || at != address {
			t.Errorf("the caller got %s, the record has %s for its token", address, at)
		}
		given[address] = true
	}
	if got := record(t, pool.Name).Count(); got != 6 || len(given) != 6 {
		t.Errorf("%d addresses are taken for %d given, want 6 and 6", got, len(given))
	}
}

func TestAWriteThatLandsLateGivesOneAddress(t *testing.T) {
	t.Parallel()
	pool := newPool(t, "10.1.0.0/24", "10.1.0.1-10.1.0.254")
	api := newFaulty()
	late := make(chan error, 1)
	api.update = func(ctx context.Context, n int64, p *crdv1.SpiderIPPool) (*crdv1.SpiderIPPool, error) {
		if n == 1 { // on its way while the ledger reads and writes again
			copied := p.DeepCopy()
			go func() {
				apiserver.Eventually(t, "the second write", func() bool { return api.writes.Load() > 1 })
				_, err := api.API.UpdateStatus(context.Background(), copied)
				late <- err
			}()
			return nil, errLost
		}
		return api.API.UpdateStatus(ctx, p)
	}
	l := newLedger(api)
	token, address, err := reserve(t.Context(), l, pool.Name)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the late write: %v", <-late)
	r := record(t, pool.Name)
	if at, ok := r.ByToken(token, crdv1.DefaultNIC); !ok || at != address || r.Count() != 1 {
		t.Errorf("the caller got %s, the record has %s for its token and %d addresses in all, want 1", address, at, r.Count())
	}
	if _, other, err := reserve(t.Context(), l, pool.Name); err != nil || other == address {
		t.Errorf("the next caller got %s, %v; the first has %s", other, err, address)
	}
}

func TestAReservationWhoseCallerLeftIsGivenBack(t *testing.T) {
	t.Parallel()
	pool := newPool(t, "10.1.0.0/24", "10.1.0.1-10.1.0.254")
	api, g := newFaulty(), newGate()
	api.update = func(ctx context.Context, n int64, p *crdv1.SpiderIPPool) (*crdv1.SpiderIPPool, error) {
		if n == 1 {
			err := api.landed(ctx, p)
			g.pass()
			return nil, err
		}
		return api.API.UpdateStatus(ctx, p)
	}
	l := newLedger(api)
	ctx, leave := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, _, err := reserve(ctx, l, pool.Name)
		result <- err
	}()
	<-g.reached
	leave()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("who left was told %v", err)
	}
	if got := record(t, pool.Name).Count(); got != 1 {
		t.Fatalf("%d addresses are taken after the write landed, want 1", got)
	}
	close(g.open)
	apiserver.Eventually(t, "the address is given back", func() bool { return record(t, pool.Name).Count() == 0 })
}

func TestAllOrNothingOverTwoPools(t *testing.T) {
	t.Parallel()
	v4 := newPool(t, "10.1.0.0/24", "10.1.0.1-10.1.0.254")
	v6 := newPool(t, "fc00:1::/64", "fc00:1::1")
	l := newLedger(ledger.NewAPI(kube))
	r := toCome("default")
	slots := slotsOf([]string{v4.Name}, []string{v6.Name})
	claims, err := l.Reserve(t.Context(), r, slots)
	if err != nil {
		t.Fatal(err)
	}
	if claims[0].Address != netip.MustParseAddr("10.1.0.1") || claims[1].Address != netip.MustParseAddr("fc00:1::1") {
		t.Errorf("got %v", claims)
	}
	_, err = l.Reserve(t.Context(), toCome("default"), slots)
	var exhausted *ledger.ExhaustedError
	if !errors.As(err, &exhausted) || len(exhausted.Refusals) != 1 || exhausted.Refusals[0].Pool != v6.Name {
		t.Errorf("the refusal is %v, want one that names %s alone", err, v6.Name)
	}
	if got := record(t, v4.Name).Count(); got != 1 {
		t.Errorf("%d IPv4 addresses are taken, want 1: the refused pod's is back", got)
	}
	if err := l.GiveBack(t.Context(), string(r.Token), claims); err != nil {
		t.Fatal(err)
	}
	if a, b := record(t, v4.Name).Count(), record(t, v6.Name).Count(); a != 0 || b != 0 {
		t.Errorf("%d and %d addresses are taken after giving back", a, b)
	}
}

func TestTheNextCandidateServesWhenTheFirstIsFull(t *testing.T) {
	t.Parallel()
	small, large := newPool(t, "10.1.0.0/24", "10.1.0.1"), newPool(t, "10.1.0.0/24", "10.1.0.2-10.1.0.3")
	l := newLedger(ledger.NewAPI(kube))
	for _, want := range []string{"10.1.0.1", "10.1.0.2", "10.1.0.3"} {
		if _, got, err := reserve(t.Context(), l, small.Name, large.Name); err != nil || got.String() != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
	_, _, err := reserve(t.Context(), l, small.Name, "no-such", large.Name)
	want := fmt.Sprintf(`reserving from pool %q: its only address is taken (1 reserved until its pod comes or it expires); reserving from pool "no-such": does not exist; reserving from pool %q: all 2 addresses are taken (2 reserved until their pods come or they expire)`, small.Name, large.Name)
	if err == nil || err.Error() != want {
		t.Errorf("the refusal is\n  %v\nwant\n  %s", err, want)
	}
}

// A ledger that crashed after its write landed has told nobody. The one that follows must not give
// that address to another.
func TestALedgerThatCrashedLeavesNoDouble(t *testing.T) {
	t.Parallel()
	pool := newPool(t, "10.1.0.0/24", "10.1.0.1-10.1.0.254")
	api := newFaulty()
	crashed := newGate()
	api.update = func(ctx context.Context, _ int64, p *crdv1.SpiderIPPool) (*crdv1.SpiderIPPool, error) {
		err := api.landed(ctx, p)
		crashed.pass() // for ever, until the test is over
		return nil, err
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer func() { cancel(); close(crashed.open) }()
	go func() { _, _, _ = reserve(ctx, newLedger(api), pool.Name) }()
	<-crashed.reached

	_, address, err := reserve(t.Context(), newLedger(ledger.NewAPI(kube)), pool.Name)
	if err != nil || address.String() != "10.1.0.2" {
		t.Errorf("got %s, %v, want the second address", address, err)
	}
	if got := record(t, pool.Name).Count(); got != 2 {
		t.Errorf("%d addresses are taken, want 2: the crashed one's until it expires", got)
	}
}

// stale is a watch that has stopped.
type stale struct{ pool *crdv1.SpiderIPPool }

func (s stale) Pool(name string) (*crdv1.SpiderIPPool, bool) { return s.pool, name == s.pool.Name }

func TestARefusalFromTheCacheIsConfirmed(t *testing.T) {
	t.Parallel()
	pool := newPool(t, "10.1.0.0/24", "10.1.0.1")
	l := newLedger(ledger.NewAPI(kube))
	token, address, err := reserve(t.Context(), l, pool.Name)
	if err != nil {
		t.Fatal(err)
	}
	full, err := ledger.NewAPI(kube).Get(t.Context(), pool.Name)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.GiveBack(t.Context(), string(token), []crdv1.Claim{{Pool: pool.Name, Address: address}}); err != nil {
		t.Fatal(err)
	}
	behind := ledger.New(ledger.Options{API: ledger.NewAPI(kube), Pools: stale{full}})
	if _, _, err := reserve(t.Context(), behind, pool.Name); err != nil {
		t.Errorf("a pool that is full in the cache only: %v", err)
	}
}

func TestAPoolMadeAnewIsAnotherPool(t *testing.T) {
	t.Parallel()
	pool := newPool(t, "10.1.0.0/24", "10.1.0.1-10.1.0.9")
	l := newLedger(ledger.NewAPI(kube))
	if _, _, err := reserve(t.Context(), l, pool.Name); err != nil {
		t.Fatal(err)
	}
	if err := kube.Delete(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	if _, _, err := reserve(t.Context(), l, pool.Name); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("reserving from a deleted pool: %v", err)
	}
	anew := &crdv1.SpiderIPPool{Spec: pool.Spec}
	anew.Name = pool.Name
	makePool(t, anew)
	if _, address, err := reserve(t.Context(), l, pool.Name); err != nil || address.String() != "10.1.0.1" {
		t.Errorf("got %s, %v, want the first address of the new pool", address, err)
	}
}

func TestNothingIsReservedFromAPoolThatMayNotBeUsed(t *testing.T) {
	t.Parallel()
	grow := func(p *crdv1.SpiderIPPool) { p.Spec.IPs = append(p.Spec.IPs, "10.1.0.7") }
	for name, c := range map[string]struct {
		status string // a merge patch of what the leader wrote; empty for none
		edit   func(*crdv1.SpiderIPPool)
		want   string
	}{
		"disabled": {
			"", func(p *crdv1.SpiderIPPool) { p.Spec.Disable = new(true) }, "it is disabled",
		},
		"not judged": {
			`{"inService":null,"conditions":null}`, func(*crdv1.SpiderIPPool) {}, "it is not Ready yet",
		},
		"judged as a whole, by the release before, and edited since": {
			`{"inService":null}`, grow, "it is not Ready yet since its last change",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := newPool(t, "10.1.0.0/24", "10.1.0.1")
			if c.status != "" {
				if err := kube.Status().Patch(t.Context(), pool, client.RawPatch(types.MergePatchType, []byte(`{"status":`+c.status+`}`))); err != nil {
					t.Fatal(err)
				}
			}
			edit(t, pool, c.edit)
			_, _, err := reserve(t.Context(), newLedger(ledger.NewAPI(kube)), pool.Name)
			if want := fmt.Sprintf("reserving from pool %q: %s", pool.Name, c.want); err == nil || err.Error() != want {
				t.Errorf("the refusal is\n  %v\nwant\n  %s", err, want)
			}
		})
	}
}

// edit makes a user's change of the spec.
func edit(t *testing.T, pool *crdv1.SpiderIPPool, do func(*crdv1.SpiderIPPool)) {
	t.Helper()
	if err := kube.Get(t.Context(), client.ObjectKeyFromObject(pool), pool); err != nil {
		t.Fatal(err)
	}
	do(pool)
	if err := kube.Update(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
}

func TestOfAPoolThatHasGrownOnlyWhatIsInServiceIsReserved(t *testing.T) {
	t.Parallel()
	pool := newPool(t, "10.1.0.0/24", "10.1.0.7")
	edit(t, pool, func(p *crdv1.SpiderIPPool) { p.Spec.IPs = append(p.Spec.IPs, "10.1.0.1-10.1.0.3") })
	l := newLedger(ledger.NewAPI(kube))
	if _, address, err := reserve(t.Context(), l, pool.Name); err != nil || address.String() != "10.1.0.7" {
		t.Errorf("got %s, %v, want the address that was judged", address, err)
	}
	_, _, err := reserve(t.Context(), l, pool.Name)
	want := fmt.Sprintf(`reserving from pool %q: all 4 addresses are not handed out or taken (1 reserved until its pod comes or it expires, 3 not in service yet, see the condition Ready)`, pool.Name)
	if cause(err) != crdv1.ReasonPoolFull || err.Error() != want {
		t.Errorf("the refusal is\n  %v\nwant\n  %s", err, want)
	}
	change(t, pool.Name, func(tx *ledger.Tx) error { tx.InService = tx.Space; return nil })
	if _, address, err := reserve(t.Context(), l, pool.Name); err != nil || address.String() != "10.1.0.1" {
		t.Errorf("got %s, %v, want the first of those that were added", address, err)
	}
}

func TestARecordThatCannotBeReadIsNotWritten(t *testing.T) {
	t.Parallel()
	pool := newPool(t, "10.1.0.0/24", "10.1.0.1-10.1.0.9")
	patch := client.RawPatch(types.MergePatchType, []byte(`{"status":{"settled":["10.1.0.1-","10.1.0.5"]}}`))
	if err := kube.Status().Patch(t.Context(), pool, patch); err != nil {
		t.Fatal(err)
	}
	before := pool.ResourceVersion
	_, _, err := reserve(t.Context(), newLedger(ledger.NewAPI(kube)), pool.Name)
	if err == nil || !strings.Contains(err.Error(), "status.settled[0]") || !strings.Contains(err.Error(), pool.Name) {
		t.Errorf("the error is %v, want one that names pool, field and line", err)
	}
	if err := kube.Get(t.Context(), client.ObjectKeyFromObject(pool), pool); err != nil || pool.ResourceVersion != before {
		t.Errorf("the pool was written: %s, was %s (%v)", pool.ResourceVersion, before, err)
	}
	good := newPool(t, "10.1.0.0/24", "10.1.0.99")
	if _, address, err := reserve(t.Context(), newLedger(ledger.NewAPI(kube)), pool.Name, good.Name); err != nil || address.String() != "10.1.0.99" {
		t.Errorf("got %s, %v, want the address of the next candidate", address, err)
	}
}

func TestARecordWithoutRoomRefusesToGrowAndStillShrinks(t *testing.T) {
	t.Parallel()
	pool := newPool(t, "10.1.0.0/24", "10.1.0.1-10.1.0.254")
	l := ledger.New(ledger.Options{API: ledger.NewAPI(kube), Pools: nothing{}, Budget: 100})
	var tokens []allocator.Token
	tooLarge := false
	for len(tokens) < 10 {
		token, _, err := reserve(t.Context(), l, pool.Name)
		var exhausted *ledger.ExhaustedError
		if errors.As(err, &exhausted) && strings.Contains(err.Error(), "bytes of at most 100") {
			tooLarge = true
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, token)
	}
	if !tooLarge || len(tokens) == 0 {
		t.Fatalf("%d reservations fit in 100 bytes", len(tokens))
	}
	for _, token := range tokens {
		if err := l.GiveBack(t.Context(), string(token), []crdv1.Claim{{Pool: pool.Name}}); err != nil {
			t.Errorf("giving back from a full record: %v", err)
		}
	}
	if got := record(t, pool.Name).Count(); got != 0 {
		t.Errorf("%d addresses are taken, want none", got)
	}
}

func TestADryRunTakesNothing(t *testing.T) {
	t.Parallel()
	pool := newPool(t, "10.1.0.0/24", "10.1.0.1-10.1.0.9")
	object, err := ledger.NewAPI(kube).Get(t.Context(), pool.Name)
	if err != nil {
		t.Fatal(err)
	}
	d := ledger.NewDryRun(ledger.Options{Pools: stale{object}})
	claims, err := d.Reserve(t.Context(), toCome("default"), slotsOf([]string{pool.Name}))
	if err != nil || claims[0].Address.String() != "10.1.0.1" {
		t.Errorf("got %v, %v, want what would be given", claims, err)
	}
	if got := record(t, pool.Name).Count(); got != 0 {
		t.Errorf("%d addresses are taken, want none", got)
	}
}
