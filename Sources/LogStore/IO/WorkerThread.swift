import Glibc

/// A thread that carries out blocking work in the order it was given.
///
/// Several may share one line of work, then only the starts are in order.
///
/// Confinement: `submit` and `stop` from anywhere; the work runs on the worker's own threads.
package final class WorkerThreads: Sendable {
    private let line: WorkLine
    private let threads: [ThreadHandle]

    /// Starts `count` threads; `name` (15 characters at most) shows in process lists.
    package init(name: String, count: Int = 1) {
        let line = WorkLine()
        self.line = line
        threads = (0..<count).map { _ in ThreadHandle.start(name: name) { line.run() } }
    }

    /// Adds work to the end of the line.
    package func submit(_ work: @escaping @Sendable () -> Void) {
        line.push(work)
    }

    /// Lets what is in line finish, ends the threads and waits for them.
    ///
    /// Call once.
    package func stop() {
        line.close()
        for thread in threads { thread.join() }
    }
}

/// The line of work that the threads take from: a mutex and a condition variable.
private final class WorkLine: @unchecked Sendable {
    // @unchecked: `work` and `isClosed` are touched only while `mutex` is held.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let filled = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var work: [@Sendable () -> Void] = []
    private var isClosed = false

    init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(filled, nil)
    }

    deinit {
        pthread_cond_destroy(filled)
        pthread_mutex_destroy(mutex)
        filled.deallocate()
        mutex.deallocate()
    }

    func push(_ item: @escaping @Sendable () -> Void) {
        pthread_mutex_lock(mutex)
        work.append(item)
        pthread_mutex_unlock(mutex)
        // After the unlock, or the thread would wake up only to wait for the mutex.
        pthread_cond_signal(filled)
    }

    func close() {
        pthread_mutex_lock(mutex)
        isClosed = true
        pthread_cond_broadcast(filled)
        pthread_mutex_unlock(mutex)
    }

    func run() {
        while let item = take() { item() }
    }

    private func take() -> (@Sendable () -> Void)? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while work.isEmpty {
            if isClosed { return nil }
            pthread_cond_wait(filled, mutex)
        }
        return work.removeFirst()
    }
}

/// One started thread, to be joined once.
private struct ThreadHandle: Sendable {
    private let thread: pthread_t

    /// Carries a closure through the C interface.
    private final class Start: Sendable {
        let name: String
        let body: @Sendable () -> Void

        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    static func start(name: String, _ body: @escaping @Sendable () -> Void) -> ThreadHandle {
        let argument = Unmanaged.passRetained(Start(name: name, body: body)).toOpaque()
        var thread = pthread_t()
        let code = pthread_create(
            &thread,
            nil,
            { argument in
                guard let argument else { return nil }
                let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                pthread_setname_np(pthread_self(), start.name)
                start.body()
                return nil
            },
            argument
        )
        precondition(code == 0, "no thread could be started: error \(code)")
        return ThreadHandle(thread: thread)
    }

    func join() {
        pthread_join(thread, nil)
    }
}
