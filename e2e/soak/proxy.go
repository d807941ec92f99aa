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

// proxy is a reverse proxy between a controller and the API server that can delay and drop.
type proxy struct {
	URL       string
	Authority []byte // of its certificate, in PEM

	mu     sync.Mutex
	random *rand.Rand
	slow   bool          // some requests are delayed, and some answers are dropped
	held   chan struct{} // watches wait until it is closed; nil: they do not wait
}

// startProxy serves the API server of cfg at a free loopback port until ctx ends. Clients are
// authenticated by the token in their requests.
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
		ErrorLog:      log.New(io.Discard, "", 0), // faults here are injected on purpose
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

// setSlow turns on or off that requests are delayed, and answers dropped after the API server has
// executed the request.
func (p *proxy) setSlow(slow bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slow = slow
}

// hold holds back all watches, or releases them.
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

// plan returns what happens to one request.
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
		next.ServeHTTP(&discarded{http.Header{}}, r)
		panic(http.ErrAbortHandler) // the connection breaks
	})
}

// heldBack delays writes until the proxy releases watches.
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

// discarded discards an answer.
type discarded struct{ header http.Header }

func (u *discarded) Header() http.Header          { return u.header }
func (*discarded) Write(data []byte) (int, error) { return len(data), nil }
func (*discarded) WriteHeader(int)                {}
