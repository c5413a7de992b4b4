import Glibc
import NIOCore
import NIOPosix
import Synchronization

/// A server started for the benchmark; ended by its process id, never by its name.
final class ChildProcess {
    let pid: pid_t
    private var isReaped = false

    /// Starts a program with its output in a file.
    ///
    /// The child gets a process group of its own, so that Ctrl-C on the terminal reaches only the
    /// benchmark, which then ends its children itself.
    init(_ arguments: [String], environment: [String: String] = [:], log: String) throws {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // The benchmark blocks its signals (see `Interruption`); its children must not inherit that.
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes,
            Int16(POSIX_SPAWN_SETPGROUP) | Int16(POSIX_SPAWN_SETSIGMASK)
        )

        var pid: pid_t = 0
        let status = withCStrings(arguments) { argv in
            withCStrings(Self.environment(with: environment)) { envp in
                posix_spawnp(&pid, arguments[0], &actions, &attributes, argv, envp)
            }
        }
        guard status == 0 else {
            throw LoadError(
                description: "cannot start \(arguments[0]): \(String(cString: strerror(status)))"
            )
        }
        self.pid = pid
        Interruption.shared.add(pid)
    }

    deinit { end(SIGKILL) }

    /// True until the process has ended.
    var isAlive: Bool {
        if !isReaped && waitpid(pid, nil, WNOHANG) == pid { reaped() }
        return !isReaped
    }

    /// Sends a signal and waits for the end; SIGKILL after 30 seconds.
    func end(_ signal: Int32 = SIGTERM) {
        guard isAlive else { return }
        kill(pid, signal)
        for _ in 0..<3000 {
            guard isAlive else { return }
            usleep(10_000)
        }
        kill(pid, SIGKILL)
        waitpid(pid, nil, 0)
        reaped()
    }

    private func reaped() {
        isReaped = true
        Interruption.shared.remove(pid)
    }

    private static func environment(with additions: [String: String]) -> [String] {
        var result = additions.map { "\($0.key)=\($0.value)" }
        for name in ["PATH", "HOME", "LANG", "LD_LIBRARY_PATH"] where additions[name] == nil {
            if let value = getenv(name) { result.append("\(name)=\(String(cString: value))") }
        }
        return result
    }
}

/// Calls `body` with a null-terminated array of C strings.
private func withCStrings<Result>(
    _ strings: [String],
    _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
) -> Result {
    let pointers = strings.map { strdup($0) }
    defer { pointers.forEach { free($0) } }
    return body(pointers + [nil])
}

/// Ends children and removes files when the benchmark is interrupted.
final class Interruption: Sendable {
    static let shared = Interruption()

    private struct State {
        var children: Set<pid_t> = []
        var directory: String?
    }

    private let state = Mutex(State())

    /// Takes SIGINT and SIGTERM over; call before any thread is started.
    func install() {
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGINT)
        sigaddset(&signals, SIGTERM)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        var thread = pthread_t()
        pthread_create(
            &thread,
            nil,
            { _ in
                var signals = sigset_t()
                sigemptyset(&signals)
                sigaddset(&signals, SIGINT)
                sigaddset(&signals, SIGTERM)
                var received: Int32 = 0
                sigwait(&signals, &received)
                Interruption.shared.leave(status: 128 + received)
            },
            nil
        )
    }

    func add(_ pid: pid_t) { state.withLock { _ = $0.children.insert(pid) } }

    func remove(_ pid: pid_t) { state.withLock { _ = $0.children.remove(pid) } }

    func setDirectory(_ path: String?) { state.withLock { $0.directory = path } }

    private func leave(status: Int32) -> Never {
        let last = state.withLock { $0 }
        for pid in last.children { kill(pid, SIGKILL) }
        for pid in last.children { waitpid(pid, nil, 0) }
        if let directory = last.directory { Files.removeTree(directory) }
        _exit(status)
    }
}
