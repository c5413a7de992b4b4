import ArgumentParser
import Glibc
import NIOCore
import NIOPosix

/// Starts a daemon on a temporary directory and drives it over real sockets.
@main
struct RadiatorBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "radiator-bench",
        abstract: "Measures radiatord over real sockets; durable messages, every one receipted.",
        discussion: """
            Exit status: 0 when radiator meets every target that belongs to the workloads, \
            1 when it misses one or something failed, 64 for wrong arguments.
            """
    )

    @Option(help: "The daemon to measure. Default: radiatord beside this program.")
    var daemon: String?

    @Option(help: "Where the servers keep their data; must be on the disk to be measured.")
    var directory: String = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"

    @Option(help: "Seconds of measured work per workload and peer, over all rounds.")
    var seconds: Double = 4

    @Option(help: "Rounds; in each, the peers take turns on the same work.")
    var rounds: Int = 2

    @Option(help: "Run only this workload, or all whose name contains this; may be repeated.")
    var only: [String] = []

    @Flag(help: "Include the long workloads, which otherwise must be named in full.")
    var all = false

    @Flag(help: "Measure beanstalkd and RabbitMQ as well, as far as they are installed.")
    var compare = false

    @Flag(help: "Print the workloads and stop.")
    var list = false

    @Option(help: "Write the results to this file, too.")
    var json: String?

    func validate() throws {
        guard seconds > 0, rounds > 0 else {
            throw ValidationError("--seconds and --rounds must be above 0.")
        }
    }

    func run() throws {
        let workloads = Workload.catalogue.filter(isMeant)
        guard !workloads.isEmpty else {
            throw ValidationError("No workload has a name like that; see --list.")
        }
        guard !list else {
            for workload in workloads { print("\(workload.name)\t\(workload.summary)") }
            let left = Workload.catalogue.filter(\.isLong).map(\.name)
            if only.isEmpty && !all { print("long, see --all: \(left.joined(separator: ", "))") }
            return
        }
        Interruption.shared.install()
        let root = try Files.makeTemporaryDirectory(in: directory)
        Interruption.shared.setDirectory(root)
        defer { Files.removeTree(root) }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let session = try BenchSession(
            peers: peers(),
            root: root,
            driver: LoadDriver(loop: group.next()),
            seconds: seconds,
            rounds: rounds,
            save: { report in if let json { try Files.write(report.json(), to: json) } }
        )
        let report = try session.run(workloads)
        guard report.isTargetMet else { throw ExitCode.failure }
    }

    /// A whole name means that workload; a part of names means all of them, the long ones if wanted.
    private func isMeant(_ workload: Workload) -> Bool {
        if only.contains(workload.name) { return true }
        guard all || !workload.isLong else { return false }
        return only.isEmpty
            || only.contains { text in
                workload.name.contains(text) && !Workload.catalogue.contains { $0.name == text }
            }
    }

    private func peers() throws -> [any Peer] {
        let daemon = self.daemon ?? Self.siblingDaemon()
        guard Files.isExecutable(daemon) else {
            throw ValidationError("There is no daemon at \(daemon); use --daemon.")
        }
        var result: [any Peer] = [RadiatorPeer(daemon: daemon)]
        guard compare else { return result }
        let others: [(any Peer, String)] = [
            (BeanstalkdPeer(), BeanstalkdPeer.program), (RabbitMQPeer(), RabbitMQPeer.program),
        ]
        for (peer, program) in others {
            if Files.isExecutable(program) {
                result.append(peer)
            } else {
                print("\(peer.name): not installed, left out")
            }
        }
        return result
    }

    private static func siblingDaemon() -> String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = max(0, readlink("/proc/self/exe", &buffer, buffer.count - 1))
        let path = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return path.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" } + "/radiatord"
    }
}
