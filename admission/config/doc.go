// Package config reads the configuration of the controller: key conf.yml of
// ConfigMap spiderpool-conf.
//
// It is strict, because a cluster-wide switch that was misspelt and therefore
// ignored is found only when pods are on the wrong network:
//
//   - unknown keys, keys given twice, keys in other letters (EnableIPv4) and a
//     second YAML document are errors that name them;
//   - every value is checked, and one error lists all that is wrong;
//   - a key that users know from the API but that nothing reads yet is accepted
//     only with the value that describes what happens anyway; any other is
//     refused as not supported yet.
//
// A key without a value (null) is a key that is not there. An empty file is the
// default configuration.
package config
