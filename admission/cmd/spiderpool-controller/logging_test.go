package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/klog/v2" //nolint:depguard // as client-go does
	ctrl "sigs.k8s.io/controller-runtime"
)

// logAsOthersDo makes this test binary a process that logs in every way there is, and exits.
const logAsOthersDo = "SPIDERPOOL_TEST_LOGS"

func TestMain(m *testing.M) {
	if os.Getenv(logAsOthersDo) == "" {
		os.Exit(m.Run())
	}
	setLogging(os.Stderr, options{})
	ctrl.Log.Info("from controller-runtime")
	ctrl.Log.V(1).Info("too much detail")
	klog.Info("from klog")                        //nolint:forbidigo // as client-go does
	klog.Background().Info("from klog's logger")  //nolint:forbidigo // as client-go does
	klog.ErrorS(errors.New("why"), "from ErrorS") //nolint:forbidigo // as client-go does
	utilruntime.HandleError(errors.New("from HandleError"))
	log.Print("from package log\nin two lines")
	slog.Warn("from slog")
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("from a server") }))
	if response, err := http.Get(server.URL); err == nil {
		response.Body.Close()
	}
	server.Close()
	os.Exit(0)
}

// TestEveryLineOfTheLogIsJSON runs a process of its own, since loggers can be set only once.
func TestEveryLineOfTheLogIsJSON(t *testing.T) {
	t.Parallel()
	self := exec.CommandContext(t.Context(), os.Args[0])
	self.Env = append(os.Environ(), logAsOthersDo+"=1")
	var stdout, stderr bytes.Buffer
	self.Stdout, self.Stderr = &stdout, &stderr
	if err := self.Run(); err != nil || stdout.Len() > 0 {
		t.Fatalf("%v, on stdout: %s", err, &stdout)
	}
	var messages []string
	for lines := bufio.NewScanner(&stderr); lines.Scan(); {
		var line struct{ Msg, Error string }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Errorf("%v: %s", err, lines.Bytes())
		}
		messages = append(messages, line.Msg+" "+line.Error)
	}
	all := strings.Join(messages, "\n")
	for _, from := range []string{
		"controller-runtime", "klog", "klog's logger", "ErrorS", "HandleError", "package log\nin two lines", "slog", "a server",
	} {
		if !strings.Contains(all, "from "+from) {
			t.Errorf("nothing from %s in\n%s", from, all)
		}
	}
	if strings.Contains(all, "too much detail") {
		t.Errorf("more than -v 0 in\n%s", all)
	}
}
