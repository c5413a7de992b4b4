import ArgumentParser
import Glibc
import NIOPosix

/// Starts a daemon on a temporary directory and drives it over real sockets.
@main
struct RadiatorBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "radiator-bench",
        abstract: "Measures radiatord over real sockets; persistent messages, every one receipted.",
        discussion: """
            Exit status: 0 when radiator meets every target that belongs to the workloads and \
            peers of the run, 1 when it misses one or something failed, 64 for wrong arguments.
            """
    )

    @Option(help: "The daemon to measure. Default: radiatord beside this program.")
    var daemon: String?

    @Option(help: "Where the servers keep their data; must be on the disk to be measured.")
    var directory: String = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"

    @Option(help: "Seconds of measured work per workload and peer, over all rounds.")
    var seconds: Double = 4

    @Option(help: "Rounds; in each, the peers take turns on the same work. Results are medians.")
    var rounds: Int = 2

    @Option(help: "Run only this workload, or all whose name contains this; may be repeated.")
    var only: [String] = []

    @Flag(help: "Include the long workloads, which otherwise must be named in full.")
    var all = false

    @Flag(help: "Measure all peers as well, as far as they are installed.")
    var compare = false

    @Option(help: "Measure these peers as well: \(Self.peerNames), with commas between.")
    var peers: String?

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
        let workloads = catalogue.flatMap(\.workloads)
        guard workloads.contains(where: isMeant) else {
            throw ValidationError("No workload has a name like that; see --list.")
        }
        guard !list else {
            for workload in workloads.filter(isMeant) {
                print("\(workload.name)\t\(workload.summary)")
            }
            let left = workloads.filter(\.isLong).map(\.name)
            if only.isEmpty && !all { print("long, see --all: \(left.joined(separator: ", "))") }
            return
        }
        let roster = try roster()
        ProcessUsage.raiseOpenFilesMax()
        Interruption.shared.install()
        let root = try Files.makeTemporaryDirectory(in: directory)
        Interruption.shared.setDirectory(root)
        defer { Files.removeTree(root) }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let session = BenchSession(
            peers: roster.peers,
            root: root,
            driver: LoadDriver(loop: group.next()),
            seconds: seconds,
            rounds: rounds,
            save: { report in if let json { try Files.write(report.json(), to: json) } }
        )
        let report = try session.run(where: isMeant)
        guard report.isTargetMet else { throw ExitCode.failure }
    }

    /// A whole name means that workload; a part of names means all of them, the long ones if wanted.
    private func isMeant(_ workload: Workload) -> Bool {
        if only.contains(workload.name) { return true }
        guard all || !workload.isLong else { return false }
        let names = catalogue.flatMap(\.workloads).map(\.name)
        return only.isEmpty || only.contains { workload.name.contains($0) && !names.contains($0) }
    }

    private func roster() throws -> Roster {
        let daemon = self.daemon ?? Self.sibling("radiatord")
        guard Files.exists(daemon) else {
            throw ValidationError("There is no daemon at \(daemon); use --daemon.")
        }
        var wanted: [PeerName] = compare ? PeerName.allCases : []
        for word in peers?.split(separator: ",") ?? [] {
            guard let name = PeerName(rawValue: String(word)) else {
                throw ValidationError("There is no peer \(word); there are \(Self.peerNames).")
            }
            wanted.append(name)
        }
        return Roster(daemon: daemon, sink: Self.sibling("radiator-sink"), wanted: wanted)
    }

    private static let peerNames = PeerName.allCases.filter { $0 != .radiator }.map(\.rawValue)
        .joined(separator: ", ")

    /// The path of a program beside this one.
    private static func sibling(_ name: String) -> String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = max(0, readlink("/proc/self/exe", &buffer, buffer.count - 1))
        let path = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return path.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" } + "/\(name)"
    }
}
