// Package filelock keeps two processes from doing the same thing at once.
package filelock
