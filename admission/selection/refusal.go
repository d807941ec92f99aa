package selection

// Refusal says why a pod cannot be given what it asks for.
type Refusal struct { //nolint:errname // refusal is the project's word for it
	Rule   string // the rule that decided; empty where no rule did
	Reason string // lists every pool that was passed over and why

	// Pools are the names of the pools that the refusal rests on, existing or not; AllPools says
	// that it also rests on there being no others. The cache may be stale, so they are read from
	// the API server before a user sees the refusal (I12).
	Pools    []string
	AllPools bool

	// Undecided says that a pool that the leader has not judged yet would serve the pod: worth
	// waiting a moment.
	Undecided bool
	// NotYet says that pools would serve the pod once they are Ready, so that nothing is wrong with
	// the pod.
	NotYet bool
}

var _ error = (*Refusal)(nil)

func (r *Refusal) Error() string {
	if r.Rule == "" {
		return r.Reason
	}
	return "choosing pools by " + r.Rule + ": " + r.Reason
}

// unsupported refuses what a rule that is not implemented yet would decide.
func unsupported(what string) *Refusal { return &Refusal{Reason: what + ": not supported yet"} }

// malformed refuses what cannot be read.
func malformed(where string, err error) *Refusal { return &Refusal{Reason: where + ": " + err.Error()} }

func annotation(key string) string { return "annotation " + key }
