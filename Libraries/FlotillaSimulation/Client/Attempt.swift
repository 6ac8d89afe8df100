import FlotillaWire
import NIOCore

/// Something that a client asked, from the asking to the answer or to the end of its patience.
package final class Attempt {
    package let client: Int
    package let cluster: Int
    package let work: ClientWork
    package let invoked: UInt64
    /// How far its cluster was committed when it was asked, as far as that was known of any cluster.
    var committedBefore: (cluster: ClusterID, index: LogIndex)?
    /// When the answer came; `nil` while there is none.
    package private(set) var returned: UInt64?
    package private(set) var answer: ClientAnswer?
    /// The index that the answer names.
    package private(set) var index: LogIndex?
    /// Whether the client has stopped waiting.
    package private(set) var isOver = false
    /// Whether it is certain that it had no effect.
    package private(set) var hadNoEffect = false
    /// The number under which it is on its way; `nil` while it is not.
    var correlation: UInt64?
    /// Its place in a session, once it was sent in one.
    var place: CommandPrefix.Session?
    /// How many copies of it were sent that may take effect.
    var copies = 0
    /// The entry's body that the command becomes, and its checksum; every copy has the same.
    var body = ByteBuffer()
    var checksum: UInt32 = 0

    init(client: Int, cluster: Int, work: ClientWork, invoked: UInt64) {
        self.client = client
        self.cluster = cluster
        self.work = work
        self.invoked = invoked
    }

    func answered(_ answer: ClientAnswer, index: LogIndex, at time: UInt64) {
        self.answer = answer
        self.index = index
        returned = time
        isOver = true
    }

    /// Gives up. What is on its way may still take effect; what is not will not.
    func givenUp() {
        isOver = true
        hadNoEffect = copies == 0 || work.isQuery
    }
}
