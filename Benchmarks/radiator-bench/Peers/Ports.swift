import Glibc

/// Ports of the loopback interface.
enum Ports {
    /// beanstalkd reads its whole log first.
    static let startSecondsMax = 600.0

    /// The port in the first line of a program's output that says where it is listening.
    static func announced(in output: String) -> Int? {
        guard let line = output.split(separator: "\n").first(where: { $0.contains("listening") }),
            let address = line.firstRange(of: "127.0.0.1:")
        else { return nil }
        return Int(line[address.upperBound...].prefix(while: \.isNumber))
    }

    /// Ports that nobody used a moment ago, all different.
    static func free(_ count: Int) throws -> [Int] {
        let sockets = (0..<count).map { _ in socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0) }
        defer { sockets.forEach { close($0) } }
        return try sockets.map { socket in
            var address = loopback(port: 0)
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let status = withUnsafeMutablePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(socket, $0, length) == 0 && getsockname(socket, $0, &length) == 0
                }
            }
            guard status else { throw Files.failure("no free port") }
            return Int(in_port_t(bigEndian: address.sin_port))
        }
    }

    /// Waits until a server answers there.
    ///
    /// That something accepts connections says little: beanstalkd listens first, then reads its log.
    static func wait(for port: Int, _ wire: Wire, of process: ChildProcess) throws {
        let watch = Stopwatch()
        while watch.seconds < startSecondsMax, process.isAlive {
            if let client = BlockingClient(port: port), client.write(wire.greeting),
                !client.read().isEmpty
            {
                return
            }
            pauseBriefly()
        }
        throw LoadError(description: "nothing answers on port \(port)")
    }

    static func loopback(port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
        return address
    }
}
