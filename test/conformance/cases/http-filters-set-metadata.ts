import { accessLog, http, LOG_FORMAT, type Suite, typeUrl } from '../harness/case.ts';
import { get } from '../harness/client.ts';

const TYPE = 'envoy.extensions.filters.http.set_metadata.v3.Config';
const set = (name: string, config: object) => ({ name, typed_config: { '@type': typeUrl(TYPE), ...config } });
const entry = (metadata_namespace: string, value: object, allow_overwrite = false) => ({
  metadata_namespace,
  value,
  ...(allow_overwrite ? { allow_overwrite } : {}),
});
const kinds = { text: 't', number: 1.5, flag: true, none: null, list: [1, 'two'], inner: { a: { b: 'deep' }, c: 1 } };

const operators = {
  all: '%DYNAMIC_METADATA(one)%',
  text: '%DYNAMIC_METADATA(one:text)%',
  short: '%DYNAMIC_METADATA(one:text):1%',
  number: '%DYNAMIC_METADATA(one:number)%',
  flag: '%DYNAMIC_METADATA(one:flag)%',
  none: '%DYNAMIC_METADATA(one:none)%',
  list: '%DYNAMIC_METADATA(one:list)%',
  inner: '%DYNAMIC_METADATA(one:inner)%',
  deep: '%DYNAMIC_METADATA(one:inner:a:b)%',
  absent: '%DYNAMIC_METADATA(one:nothing)%',
  nowhere: '%DYNAMIC_METADATA(nowhere:text)%',
  mixed:
    'a %DYNAMIC_METADATA(one:text)% %DYNAMIC_METADATA(one:number)% %DYNAMIC_METADATA(one:inner:c)% %DYNAMIC_METADATA(one:inner:a)%',
  new_form: '%METADATA(DYNAMIC:one:text)%',
  old: '%DYNAMIC_METADATA(old:a)%',
  merged: '%DYNAMIC_METADATA(merged)%',
  kept: '%DYNAMIC_METADATA(kept)%',
};

/** Dynamic metadata that a filter sets, as logs and headers show it. */
export const suite: Suite = {
  name: 'http-filters set metadata',
  upstreams: ['a'],
  listener: 'ingress',
  bootstrap: http({
    clusters: { a: ['a'] },
    filters: [
      set('first', {
        metadata: [
          entry('one', kinds),
          entry('merged', { ...kinds, other: 'stays' }),
          entry('kept', { text: 'first' }),
          { metadata_namespace: 'nothing' },
        ],
      }),
      set('deprecated', { metadata_namespace: 'old', value: { a: 'deprecated' } }),
      set('second', {
        metadata_namespace: 'old',
        value: { b: 2 },
        metadata: [
          entry(
            'merged',
            {
              text: 'new',
              number: 'now text',
              flag: { a: 1 },
              none: 3,
              list: [3],
              inner: { a: { z: 1 }, c: 2 },
              more: [],
            },
            true,
          ),
          entry('kept', { text: 'second', more: 1 }),
        ],
      }),
    ],
    routes: {
      virtual_hosts: [
        {
          name: 'all',
          domains: ['*'],
          routes: [
            { match: { prefix: '/direct' }, direct_response: { status: 200 } },
            {
              match: { prefix: '/' },
              route: { cluster: 'a' },
              request_headers_to_add: [
                { header: { key: 'x-text', value: '%DYNAMIC_METADATA(one:text)%' } },
                { header: { key: 'x-number', value: '%DYNAMIC_METADATA(one:number)%' } },
                { header: { key: 'x-deep', value: '%DYNAMIC_METADATA(one:inner:a:b)%' } },
                { header: { key: 'x-list', value: '%DYNAMIC_METADATA(one:list)%' } },
                { header: { key: 'x-none', value: '%DYNAMIC_METADATA(one:none)%' } },
                { header: { key: 'x-absent', value: '%DYNAMIC_METADATA(one:nothing)%' } },
              ],
              response_headers_to_add: [{ header: { key: 'x-old', value: '%DYNAMIC_METADATA(old:a)%' } }],
            },
          ],
        },
      ],
    },
    manager: { access_log: [accessLog({ json_format: { ...LOG_FORMAT, ...operators } })] },
    variants: {
      text: {
        access_log: [
          accessLog({
            text_format_source: {
              inline_string: `${Object.entries(operators)
                .map(([k, v]) => `${k}=${v}`)
                .join(' | ')}\n`,
            },
          }),
        ],
      },
    },
  }),
  cases: [
    { name: 'metadata in JSON, in headers', client: get('/') },
    { name: 'a direct response', client: get('/direct') },
    { name: 'metadata in text', client: { ...get('/'), listener: 'text' } },
  ],
};
