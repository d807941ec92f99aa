package machine

import "path/filepath"

// Spec describes a machine. It is passed to cmd/machine as a file.
type Spec struct {
	Name     string  `json:"name"`     // its host name
	Dir      string  `json:"dir"`      // the machine's own folder on this computer
	Root     string  `json:"root"`     // what it sees as /; empty: what this computer sees
	Mounts   []Mount `json:"mounts"`   // more of this computer's files in it; needs Root
	Upstream string  `json:"upstream"` // where connections to the machine's door are forwarded, dialled inside; empty: no door
}

// Mount shows a file or folder of this computer in the machine.
type Mount struct {
	Source   string `json:"source"`
	Target   string `json:"target"` // seen from inside
	Writable bool   `json:"writable"`
}

// Files in a machine's folder.
func (s Spec) specFile() string { return filepath.Join(s.Dir, "machine.json") }

// RecordFile is where the machine's first process writes its record.
func (s Spec) RecordFile() string { return filepath.Join(s.Dir, "machine.record") }

func (s Spec) logFile() string { return filepath.Join(s.Dir, "machine.log") }

// The file descriptors that cmd/machine is started with.
const (
	ReadyFD = 3 // gets one line: Ready or an error
	DoorFD  = 4 // a listening socket of this computer, if there is an Upstream
)

// Ready is the line of a machine that is up.
const Ready = "ready"
