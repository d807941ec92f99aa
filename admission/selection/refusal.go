package selection

// Refusal says why a pod cannot be given what it asks for.
type Refusal struct { //nolint:errname // refusal is the project's word for it
	Rule   string // the rule that decided; empty where none did
	Reason string // lists every pool that was passed over and why

	// Pools are the names that the refusal rests on, there or not, and AllPools says that it also rests on there being no others.
	// A cache may be behind: to be read from the API server before a user sees the refusal (I12).
	Pools    []string
	AllPools bool

	// Undecided says that a pool which the leader has not looked at yet would serve the pod: worth a moment.
	Undecided bool
	// NotYet says that pools would serve the pod once they are Ready, so that there is nothing to mend in the pod.
	NotYet bool
}

var _ error = (*Refusal)(nil)

func (r *Refusal) Error() string {
	if r.Rule == "" {
		return r.Reason
	}
	return "choosing pools by " + r.Rule + ": " + r.Reason
}

// unsupported refuses what a rule that is still to come would decide.
func unsupported(what string) *Refusal { return &Refusal{Reason: what + ": not supported yet"} }

// malformed refuses what cannot be read.
func malformed(where string, err error) *Refusal { return &Refusal{Reason: where + ": " + err.Error()} }

func annotation(key string) string { return "annotation " + key }
