package main

import (
	"io"
	"log/slog"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2" //nolint:depguard // to lead what others write through it into our log
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

// setLogging makes every log line of this process one JSON object: client-go logs with klog, and
// net/http, where a server has no ErrorLog, with the package log. controller-runtime's SetLogger
// changes neither. It MUST be called before anything else runs.
func setLogging(out io.Writer, o options) {
	logger := zap.New(zap.JSONEncoder(), zap.Level(o.level()), zap.WriteTo(out))
	ctrl.SetLogger(logger)
	klog.SetLoggerWithOptions(logger.WithName("klog"), klog.ContextualLogger(true)) //nolint:forbidigo // as above
	slog.SetDefault(slog.New(logr.ToSlogHandler(logger.WithName("log"))))           // package log follows it
}
