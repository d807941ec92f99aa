package cni

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// levels are the values of log_level, in any case. Lines of the configured level and of those after
// it are written.
var levels = []string{"debug", "info", "warn", "error"}

const (
	levelInfo  = iota + 1 // every ADD and CHECK; debug logs nothing more
	levelWarn             // refusals that may pass with time
	levelError            // refusals that need a fix
)

// appendLog appends one line with one write, so that lines of plugins that run at the same time do
// not mix. Errors go to stderr: a full disk must not stop pods. It is not log/slog: linking it
// costs some hundredths of an ADD, and few users turn the log on.
func appendLog(conf IPAMConf, level int, text string, pairs ...any) {
	if conf.LogFilePath == "" || level < conf.LogLevel {
		return
	}
	line := fmt.Appendf(nil, "%s level=%s msg=%q", time.Now().UTC().Format(time.RFC3339Nano), levels[level], text)
	for i := 0; i+1 < len(pairs); i += 2 {
		line = fmt.Appendf(line, " %s=%q", pairs[i], fmt.Sprint(pairs[i+1]))
	}
	file, err := os.OpenFile(conf.LogFilePath, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = file.Write(append(line, '\n'))
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: writing log: %v\n", PluginName, err)
	}
}
