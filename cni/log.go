package cni

import (
	"os"
	"strconv"
	"strings"
	"time"

	"spidernet.io/spiderpool/cni/message"
)

// Level says which lines reach the log file.
type Level int

// The levels of the key log_level, in any case of letters. The zero value is
// the default.
const (
	LevelDebug Level = iota - 1 // also where the annotations came from
	LevelInfo                   // every ADD and CHECK
	LevelWarn                   // refusals that may end by themselves, and errors
	LevelError                  // refusals that somebody has to mend
)

var levelNames = map[string]Level{ // value of log_level -> level
	"": LevelInfo, "debug": LevelDebug, "info": LevelInfo, "warn": LevelWarn, "error": LevelError,
}

func parseLevel(name string) (Level, error) {
	level, ok := levelNames[strings.ToLower(name)]
	if !ok {
		return 0, message.Errorf("%q is none of debug, info, warn, error", name)
	}
	return level, nil
}

func (l Level) String() string {
	return [...]string{"debug", "info", "warn", "error"}[l-LevelDebug]
}

// appendLog adds one line with one write, so that lines of plugins running at
// the same time do not mix. What goes wrong is said on stderr: a full disk must
// not stop pods.
func appendLog(conf IPAMConf, now time.Time, level Level, text string, pairs ...string) {
	if conf.LogFilePath == "" || level < conf.LogLevel {
		return
	}
	var line strings.Builder
	line.WriteString(now.UTC().Format(time.RFC3339Nano) + " level=" + level.String() + " msg=" + strconv.Quote(text))
	for i := 0; i+1 < len(pairs); i += 2 {
		line.WriteString(" " + pairs[i] + "=" + strconv.Quote(pairs[i+1]))
	}
	line.WriteByte('\n')
	if err := appendTo(conf.LogFilePath, line.String()); err != nil {
		complain("writing log: " + err.Error() + "\n")
	}
}

func appendTo(path, line string) error {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(line)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return err
}
