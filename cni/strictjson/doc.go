// Package strictjson reads JSON objects the way a contract is read: every key
// is known, stands there once and in the very letters it was given, and nothing
// follows the object. encoding/json takes the last of two equal keys and
// matches keys without regard to case, so two readers of one text can differ;
// here they cannot.
//
// It is for small objects of few keys. Values are decoded by functions that
// name the key and what was wanted; null is never a value.
package strictjson
