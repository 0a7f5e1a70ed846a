# SPDX-License-Identifier: MIT
# Go: goroutines on files, os/exec, and the go command itself, its cache stored here.
. "$(dirname "$0")/../lib/tap.sh"
. "$TAP_LIB/compare.sh"
need_all go golang-go

# The standard library is compiled once, outside; what the test itself compiles is kept here.
export GOCACHE=$TAP_TMP/gocache GOPATH=$TAP_TMP/gopath GOTOOLCHAIN=local GOPROXY=off GO111MODULE=on

PROGRAM='
mkdir -p p; cd p; cat >go.mod <<E
module p
E
cat >main.go <<E
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"
)

func check(err error) {
	if err != nil {
		fmt.Println("error:", err)
	}
}

func main() {
	var wg sync.WaitGroup
	check(os.MkdirAll("d/e", 0o755))
	for i := 0; i < 20; i++ {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			for j := 0; j < 20; j++ {
				name := fmt.Sprintf("d/%d-%d", i, j)
				check(os.WriteFile(name, []byte(strings.Repeat(name, j)), 0o644))
				b, err := os.ReadFile(name)
				check(err)
				if string(b) != strings.Repeat(name, j) {
					fmt.Println("bad", name)
				}
				if j%2 == 1 {
					check(os.Remove(name))
				}
			}
		}(i)
	}
	wg.Wait()
	n := 0
	check(filepath.WalkDir("d", func(p string, e fs.DirEntry, err error) error { n++; return err }))
	fmt.Println("walked", n)
	f, err := os.OpenFile("log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	check(err)
	for i := 0; i < 10; i++ {
		wg.Add(1)
		go func(i int) { defer wg.Done(); fmt.Fprintf(f, "line %d\n", i) }(i)
	}
	wg.Wait()
	f.Close()
	r, _ := os.Open("log")
	var lines []string
	for s := bufio.NewScanner(r); s.Scan(); {
		lines = append(lines, s.Text())
	}
	sort.Strings(lines)
	fmt.Println(strings.Join(lines, ","))
	os.Remove("log")
	out := make([]string, 8)
	for i := range out {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			b, err := exec.Command("sh", "-c", fmt.Sprintf("echo out %d; exit %d", i, i)).Output()
			out[i] = fmt.Sprint(string(bytes.TrimSpace(b)), " ", err)
		}(i)
	}
	wg.Wait()
	fmt.Println(strings.Join(out, "; "))
	c := exec.Command("tr", "a-z", "A-Z")
	in, _ := c.StdinPipe()
	so, _ := c.StdoutPipe()
	check(c.Start())
	go func() { io.WriteString(in, strings.Repeat("x", 300000)); in.Close() }()
	b, _ := io.ReadAll(so)
	fmt.Println(len(b), c.Wait())
	c = exec.Command("sleep", "20")
	check(c.Start())
	c.Process.Signal(syscall.SIGTERM)
	fmt.Println(c.Wait())
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGUSR1)
	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	fmt.Println(<-ch)
	pr, pw, _ := os.Pipe()
	go func() { time.Sleep(20 * time.Millisecond); pw.Write([]byte("late")); pw.Close() }()
	b, _ = io.ReadAll(pr)
	fmt.Println(string(b))
	check(os.Symlink("d", "l"))
	check(os.Rename("d/e", "d/e2"))
	st, err := os.Stat("l/e2")
	fmt.Println(st.IsDir(), err)
	_, err = os.Stat("none")
	fmt.Println(os.IsNotExist(err), err)
	check(os.Truncate("go.mod", 3))
	check(os.Chtimes("go.mod", time.Unix(5, 0), time.Unix(6, 7)))
	st, _ = os.Stat("go.mod")
	fmt.Println(st.Size(), st.ModTime().UnixNano())
	tmp, err := os.CreateTemp("", "x")
	fmt.Println(strings.HasPrefix(tmp.Name(), os.TempDir()), err)
	os.Remove(tmp.Name())
	check(os.RemoveAll("d"))
	os.Exit(7)
}
E
'
# Compiled outside Hare: the program's own behaviour is what is compared here.
mkdir "$TAP_TMP/go"
if (cd "$TAP_TMP/go" && eval "$PROGRAM" && go build -o "$TAP_TMP/goprog" . &&
	go build -o /dev/null std >/dev/null 2>&1); then
	ok 0 "the program compiles outside"
else
	ok 1 "the program compiles outside"
fi

compare "a Go program: goroutines, os/exec, signals, pipes" <<END
echo module p >go.mod; cp $TAP_TMP/goprog prog; ./prog; echo \$?; rm prog
GOMAXPROCS=1 $TAP_TMP/goprog | tail -3
END

compare -t 240 -x '.*/(prog|cache/.*|tmp/.*)' "go build, go vet, go run, go test" <<END
export GOCACHE=$GOCACHE GOPATH=$GOPATH GOTOOLCHAIN=local GOPROXY=off GOFLAGS= GO111MODULE=on
$PROGRAM
go version | cut -d' ' -f1-2; go build -trimpath -o prog .; echo \$?; ./prog | md5sum; echo module p >go.mod; go vet .; echo \$?; mkdir -p lib; echo 'package lib
func Add(a, b int) int { return a + b }' >lib/lib.go; echo 'package lib
import "testing"
func TestAdd(t *testing.T) { if Add(1, 2) != 3 { t.Fatal() } }' >lib/lib_test.go; go test ./lib | sed 's/[0-9.]*s\$//; s/(cached)//'; go list ./...; gofmt -l . 2>/dev/null; echo \$?
END

done_testing
