import assert from 'node:assert/strict';
import { test } from 'node:test';
import { httpStatusOfGrpc } from '../../proxy/policy/grpc-status.ts';

test('an endpoint that answers gRPC is judged by its status, and what is none is its fault', () => {
  assert.deepEqual(['0', '1', '4', '5', '8', '14', '16'].map(httpStatusOfGrpc), [200, 499, 504, 404, 429, 503, 401]);
  assert.deepEqual(['2', '13', '15', '17', '-1', '', 'x'].map(httpStatusOfGrpc), [500, 500, 500, 500, 500, 500, 500]);
});
