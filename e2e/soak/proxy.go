package soak

import (
	"context"
	"encoding/pem"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"spidernet.io/spiderpool/e2e/behaviours"
)

// proxy stands between a controller and the API server, and passes on what it is
// given, late or not at all.
type proxy struct {
	URL       string
	Authority []byte // of its certificate, in PEM

	mu     sync.Mutex
	random *rand.Rand
	slow   bool          // requests are late now and then, and answers are dropped
	held   chan struct{} // watches wait for its end; nil: they do not
}

// startProxy serves the API server of cfg at a free port of loopback until ctx
// ends. Who asks is known by the token that the request brings.
func startProxy(ctx context.Context, cfg *rest.Config, seed uint64) (*proxy, error) {
	target, err := url.Parse(cfg.Host)
	if err != nil {
		return nil, err
	}
	transport, err := rest.TransportFor(rest.AnonymousClientConfig(cfg))
	if err != nil {
		return nil, err
	}
	p := &proxy{random: rand.New(rand.NewPCG(seed, 2))}
	reverse := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     transport,
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0), // what is broken here is broken on purpose
	}
	server := httptest.NewUnstartedServer(p.faulty(reverse))
	server.Config.ErrorLog = reverse.ErrorLog
	server.EnableHTTP2 = true
	server.StartTLS()
	context.AfterFunc(ctx, func() { server.CloseClientConnections(); server.Close() })
	p.URL = server.URL
	p.Authority = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return p, nil
}

// setSlow has requests be late, and answers dropped after the API server has
// done what it was asked to, or puts an end to that.
func (p *proxy) setSlow(slow bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slow = slow
}

// hold holds back all watches, or lets go of them.
func (p *proxy) hold(hold bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case hold && p.held == nil:
		p.held = make(chan struct{})
	case !hold && p.held != nil:
		close(p.held)
		p.held = nil
	}
}

// plan is what happens to one request.
func (p *proxy) plan() (late time.Duration, drop bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.slow {
		return 0, false
	}
	if p.random.IntN(4) == 0 {
		late = time.Duration(p.random.IntN(1500)) * time.Millisecond
	}
	return late, p.random.IntN(8) == 0
}

func (p *proxy) faulty(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("watch") == "true" || r.URL.Query().Get("watch") == "1" {
			next.ServeHTTP(&heldBack{w, p, r.Context()}, r)
			return
		}
		late, drop := p.plan()
		behaviours.Pause(r.Context(), late)
		if !drop {
			next.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(&unheard{http.Header{}}, r)
		panic(http.ErrAbortHandler) // the connection breaks
	})
}

// heldBack writes once the proxy lets watches go on.
type heldBack struct {
	http.ResponseWriter

	proxy *proxy
	ctx   context.Context //nolint:containedctx // that of the one request it is for
}

func (h *heldBack) Write(data []byte) (int, error) {
	h.proxy.mu.Lock()
	held := h.proxy.held
	h.proxy.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-h.ctx.Done():
		}
	}
	return h.ResponseWriter.Write(data)
}

// Unwrap is for http.ResponseController.
func (h *heldBack) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// unheard is where an answer goes that nobody hears.
type unheard struct{ header http.Header }

func (u *unheard) Header() http.Header          { return u.header }
func (*unheard) Write(data []byte) (int, error) { return len(data), nil }
func (*unheard) WriteHeader(int)                {}
