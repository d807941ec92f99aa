package main

import (
	"io"
	"log/slog"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2" //nolint:depguard // to lead what others write through it into our log
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

// setLogging makes everything that this process logs one JSON object a line, whichever way it is
// logged: client-go uses klog, and net/http, where a server has no ErrorLog, the package log.
// controller-runtime's SetLogger changes neither. It MUST be called before anything else runs.
func setLogging(out io.Writer, o options) {
	logger := zap.New(zap.JSONEncoder(), zap.Level(o.level()), zap.WriteTo(out))
	ctrl.SetLogger(logger)
	klog.SetLoggerWithOptions(logger.WithName("klog"), klog.ContextualLogger(true)) //nolint:forbidigo // as above
	slog.SetDefault(slog.New(logr.ToSlogHandler(logger.WithName("log"))))           // package log follows it
}
