package component

import (
	"context"
	"fmt"
	"path/filepath"
)

// Own builds a program of this repository, statically and without symbols as it is shipped, and
// returns its file. The package is a path within the work tree, such as "cni/cmd/spiderpool" or
// "e2e/cluster/cmd/machine". With Go's own cache a second build takes a second; it is never
// skipped, since only the go command knows whether the sources changed.
func Own(ctx context.Context, pkg, into string) (string, error) {
	tree, err := Tree()
	if err != nil {
		return "", err
	}
	module, rel := tree, pkg
	if sub, ok := cutFolder(pkg, "e2e"); ok {
		module, rel = filepath.Join(tree, "e2e"), sub
	}
	output := filepath.Join(into, filepath.Base(pkg))
	args := []string{"build", "-buildvcs=false", "-ldflags=-s -w", "-o", output, "./" + filepath.ToSlash(rel)}
	if err := goBuild(ctx, module, []string{"CGO_ENABLED=0", "GOWORK=off"}, args); err != nil {
		return "", fmt.Errorf("building %s: %w", pkg, err)
	}
	return output, nil
}

func cutFolder(path, folder string) (string, bool) {
	rel, err := filepath.Rel(folder, path)
	if err != nil || !filepath.IsLocal(rel) {
		return "", false
	}
	return rel, true
}
