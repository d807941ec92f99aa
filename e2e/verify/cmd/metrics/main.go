// Command metrics prints the table of the product's metrics, from the code that registers them:
// chart/docs/metrics.md is its output.
package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"spidernet.io/spiderpool/admission"
	"spidernet.io/spiderpool/allocator/ledger"
	"spidernet.io/spiderpool/allocator/lifecycle"
)

func main() { os.Exit(run()) }

func run() int {
	var t table
	admission.NewMetrics(&t)
	ledger.NewMetrics(&t)
	lifecycle.NewMetrics(&t)
	t.MustRegister(ledger.NewPoolCollector(nil, ledger.Options{}))
	if len(t.wrong) > 0 {
		fmt.Fprintln(os.Stderr, strings.Join(t.wrong, "\n"))
		return 1
	}
	fmt.Print(head)
	slices.SortFunc(t.rows, func(a, b row) int { return strings.Compare(a.name, b.name) })
	for _, r := range t.rows {
		fmt.Printf("| `%s` | %s | %s | %s |\n", r.name, r.kind, r.labels, r.help)
	}
	return 0
}

const head = `# Metrics

The controller serves them at ` + "`/metrics`" + ` of ` + "`-metrics-bind-address`" + `, beside those of Go, of its
process and of controller-runtime. What only the leader does, only the replica that leads counts.
This page is generated (` + "`make generate`" + `).

| metric | type | labels | meaning |
|---|---|---|---|
`

// row is one metric.
type row struct{ name, kind, labels, help string }

// table records what is registered with it.
type table struct {
	rows  []row
	wrong []string
}

var _ prometheus.Registerer = (*table)(nil)

// Register implements prometheus.Registerer.
func (t *table) Register(c prometheus.Collector) error {
	ch := make(chan *prometheus.Desc)
	go func() {
		defer close(ch)
		c.Describe(ch)
	}()
	for d := range ch {
		t.add(d, c)
	}
	return nil
}

// MustRegister implements prometheus.Registerer.
func (t *table) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		_ = t.Register(c) // Register returns no errors
	}
}

// Unregister implements prometheus.Registerer.
func (*table) Unregister(prometheus.Collector) bool { return false }

// described matches the text of a description; it has no other accessors.
var described = regexp.MustCompile(`^Desc\{fqName: "([^"]*)", help: "(.*)", unit: "[^"]*", constLabels: \{\}, variableLabels: \{(.*)\}\}$`)

func (t *table) add(d *prometheus.Desc, c prometheus.Collector) {
	m := described.FindStringSubmatch(d.String())
	if m == nil {
		t.wrong = append(t.wrong, "a description that cannot be read: "+d.String())
		return
	}
	r := row{name: m[1], kind: kind(c), labels: "none", help: strings.ReplaceAll(m[2], `\"`, `"`)}
	if m[3] != "" {
		r.labels = "`" + strings.ReplaceAll(m[3], ",", "`, `") + "`"
	}
	if r.help == "" {
		t.wrong = append(t.wrong, r.name+" does not say what it means")
	}
	t.rows = append(t.rows, r)
}

func kind(c prometheus.Collector) string {
	switch c.(type) {
	case *prometheus.CounterVec:
		return "counter"
	case *prometheus.HistogramVec, prometheus.Histogram:
		return "histogram"
	case *prometheus.GaugeVec, prometheus.Gauge: // before a counter, since it has the methods of one too
		return "gauge"
	case prometheus.Counter:
		return "counter"
	}
	return "gauge" // collectors of our own compute current values
}
