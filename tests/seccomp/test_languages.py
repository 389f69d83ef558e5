"""What course teams teach works under the filters: compilers, interpreters and what they make."""

import shutil

import pytest

from tests.support.services import missing_service

PROGRAMS = {
    "python3": """python3 -I -c '
import asyncio, multiprocessing, socket, sqlite3, subprocess, tempfile, threading
assert subprocess.run(["true"]).returncode == 0
async def hello():
    await asyncio.sleep(0)
    process = await asyncio.create_subprocess_exec("true")
    return await process.wait()
assert asyncio.run(hello()) == 0
thread = threading.Thread(target=tempfile.mkdtemp); thread.start(); thread.join()
with multiprocessing.Pool(2) as pool:
    assert pool.map(abs, [-1]) == [1]
try:
    socket.getaddrinfo("example.org", 80)
except socket.gaierror:
    print("hello")
'""",
    "gcc": """cat > a.c <<'END'
#include <pthread.h>
#include <stdio.h>
static void *say(void *what) { puts(what); return 0; }
int main(void) { pthread_t t; return pthread_create(&t, 0, say, "hello") || pthread_join(t, 0); }
END
gcc -O1 -o a a.c -pthread && ./a""",
    "g++": """cat > a.cpp <<'END'
#include <filesystem>
#include <future>
#include <iostream>
int main() {
  auto f = std::async(std::launch::async, [] { return std::filesystem::exists("."); });
  if (f.get()) std::cout << "hello" << std::endl;
}
END
g++ -std=c++17 -o a a.cpp -pthread && ./a""",
    "javac": """cat > A.java <<'END'
import java.util.stream.IntStream;
public class A {
  public static void main(String[] a) throws Exception {
    int n = IntStream.range(0, 100).parallel().sum();
    Thread t = new Thread(() -> System.out.println(n == 4950 ? "hello" : "no"));
    t.start(); t.join();
  }
}
END
javac A.java && java -Xshare:auto A""",
    "node": """node -e '
const fs = require("fs"); const { Worker } = require("worker_threads");
fs.promises.writeFile("a", "hello").then(() => fs.promises.readFile("a", "utf8")).then((text) =>
  new Worker(`console.log("${text}")`, { eval: true }));
'""",
    "sqlite3": """sqlite3 a.db "create table a(b); insert into a values('hello')" &&
sqlite3 a.db "select b from a" """,
    "bash": """bash -c 'f=$(mktemp); (echo hello | tee "$f") > b; wait; cat < b'""",
    "perl": """perl -e 'open(F, "-|", "echo hello"); print <F>'""",
    "make": """printf 'a:\\n\\t@echo hello\\n' > Makefile && make -j2 a""",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_hello_world_with_files_threads_and_children_works(run, program):
    found = shutil.which(program, path="/usr/bin:/bin")
    if found is None:
        missing_service(program)
    done = run(["/bin/sh", "-e", "-c", PROGRAMS[program]])
    assert (done.returncode, done.stdout.strip()) == (0, "hello"), done
