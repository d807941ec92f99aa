// Package strictjson reads JSON objects the way a contract is read: every key
// is known, stands there once and in the very letters it was given, and nothing
// follows the object. encoding/json takes the last of two equal keys and
// matches keys without regard to case, so two readers of one text can differ;
// here they cannot. What is no UTF-8 is refused rather than mended.
//
// It is for small objects of few keys, and for a process that reads one and
// ends: it does without reflection, whose first use costs more than all the
// rest of the plugin's ADD. A fuzz test holds it to encoding/json.
package strictjson
